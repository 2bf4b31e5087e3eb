#include "driver/job/load_watch.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr int kFailsLeases = 3;      // so long others wait for one that cannot load,
constexpr int kFailsAgainLeases = 1;  // and for the next one of its worker
constexpr int kForgottenLeases = 24;
constexpr MonotonicTime kSilentUs = 60'000'000;

}  // namespace

void LoadWatch::Begin(MonotonicTime now, const proto::Grant& grant) {
  begun_ = now;
  batch_ms_ = grant.manifest_batch_ms();
  loading_.clear();
  loaded_ = 0;
  first_loaded_ = 0;
  for (const auto& member : grant.members()) {
    loading_[member.executor()].worker = member.worker_id();
  }
  std::erase_if(at_fault_, [&](const auto& worker) {
    return now - worker.second > kForgottenLeases * lease_us_;
  });
}

void LoadWatch::OnLoaded(MonotonicTime now, uint32_t executor) {
  const auto loading = loading_.find(executor);
  if (loading == loading_.end()) return;
  at_fault_.erase(loading->second.worker);
  loading_.erase(loading);
  if (loaded_++ == 0) first_loaded_ = now;
  if (loading_.empty()) problem_.clear();
}

void LoadWatch::OnFailed(MonotonicTime now, uint32_t executor, const std::string& error) {
  const auto loading = loading_.find(executor);
  if (loading == loading_.end()) return;
  if (loading->second.failing_since == 0) loading->second.failing_since = now;
  loading->second.error = error;
}

std::string LoadWatch::News(MonotonicTime now) {
  for (const auto& [executor, loading] : loading_) {
    const bool fails =
        loading.failing_since != 0 && now - loading.failing_since > kFailsAgainLeases * lease_us_;
    if (!fails && now - begun_ < kSilentUs) continue;
    std::string problem =
        absl::StrCat("executor ", executor, " on worker ", loading.worker, " has not loaded the ",
                     "checkpoint of batch ", batch_ms_, ", and no batch runs before that",
                     loading.error.empty() ? "" : ": ", loading.error);
    if (problem == problem_) return "";
    problem_ = std::move(problem);
    return problem_;
  }
  return "";
}

std::optional<uint32_t> LoadWatch::Leaves(MonotonicTime now) {
  if (loaded_ == 0) return std::nullopt;
  for (auto& [executor, loading] : loading_) {
    if (loading.failing_since == 0) continue;
    const bool again = at_fault_.contains(loading.worker);
    const MonotonicTime since = std::max(loading.failing_since, first_loaded_);
    if (now - since <= (again ? kFailsAgainLeases : kFailsLeases) * lease_us_) continue;
    if (at_fault_.size() + (again ? 0 : 1) > loaded_) continue;
    at_fault_[loading.worker] = loading.failing_since = now;
    return executor;
  }
  return std::nullopt;
}

}  // namespace sluice
