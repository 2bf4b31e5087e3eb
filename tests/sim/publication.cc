// Outputs become visible, as driver/job/publication.h has it, one look at the file system or change
// of it at a time: a job driver that is paused stands still between any two.
#include <algorithm>
#include <charconv>
#include <utility>

#include "tests/sim/driver_process.h"

namespace sluice::sim {
namespace {

constexpr uint64_t kOldOneOf = 3;  // targets that another job has left output at

std::string HeldBy(uint64_t epoch, const std::string& staged) {
  return staged + "-by" + std::to_string(epoch);
}

// The epoch of the last job driver that holds it; 0: none does.
uint64_t HolderOf(const SimFiles& files, const std::string& staged) {
  const std::string common = staged + "-by";
  uint64_t holder = 0;
  for (auto it = files.staged.lower_bound(common);
       it != files.staged.end() && it->first.starts_with(common); ++it) {
    uint64_t epoch = 0;
    std::from_chars(it->first.data() + common.size(), it->first.data() + it->first.size(), epoch);
    holder = std::max(holder, epoch);
  }
  return holder;
}

}  // namespace

void DriverProcess::Soon(std::function<void()> act) {
  const bool slow = site_->Chance(site_->world.faults.outputs_slow);
  if (slow) site_->world.Count("output: step of a publication slow");
  After(site_->world.random.Between(50, slow ? 400'000 : 1'000), std::move(act));
}

void DriverProcess::Publish(const PublishOutput& publish) {
  const Output& output = site_->graph->outputs().at(publish.staged.output());
  if (!site_->log.decided().contains(publish.batch_ms)) {
    site_->Break("I3: output of batch " + std::to_string(publish.batch_ms) +
                 " is published before the batch is decided");
  }
  if (output.kind == OutputKind::kPrint) {
    std::vector<std::string> rows(publish.staged.printed().begin(),
                                  publish.staged.printed().end());
    auto [shown, first] = site_->printed.try_emplace(publish.batch_ms, rows);
    if (!first) site_->world.Count("recovery: printed again");
    if (shown->second != rows) site_->Break("I3: a batch was printed twice, differently");
    return EndPublish(publish);
  }
  SimFiles& files = site_->files;
  const std::string& staged = publish.staged.staged_path();
  const std::string& target = publish.staged.target_path();
  if (output.overwrite && files.looked_at.insert(target).second &&
      publish.batch_ms / site_->knobs.batch_interval_ms % kOldOneOf == 0) {
    const std::vector<std::string> rows{"of another job"};
    files.published[target] = {{0, rows}, {SimFiles::kOfAnotherJob, rows}};
  }
  if (files.staged.contains(staged)) return Soon([=, this] { MoveStaged(publish); });
  const uint64_t holder = HolderOf(files, staged);
  if (holder > epoch()) return FailPublish(publish, "a later job driver publishes it", false);
  if (holder != 0) return Soon([=, this] { TakeOver(publish); });
  if (!files.published.contains(target)) {
    return FailPublish(publish, "staged output " + staged + " is missing", true);
  }
  site_->world.Count("recovery: publication done again");
  EndPublish(publish);
}

// By a rename that never replaces.
void DriverProcess::MoveStaged(const PublishOutput& publish) {
  SimFiles& files = site_->files;
  const auto staged = files.staged.find(publish.staged.staged_path());
  const std::string& target = publish.staged.target_path();
  if (staged == files.staged.end()) return FailPublish(publish, "it is not there", false);
  if (!files.published.contains(target)) {
    files.published[target] = std::move(staged->second);
    files.staged.erase(staged);
    return Soon([=, this] { EndPublish(publish); });
  }
  if (!site_->graph->outputs().at(publish.staged.output()).overwrite) {
    return FailPublish(publish, "target " + target + " is another job's", true);
  }
  staged->second[SimFiles::kMark];
  Soon([=, this] { Hold(publish); });
}

void DriverProcess::Hold(const PublishOutput& publish) {
  auto held = site_->files.staged.extract(publish.staged.staged_path());
  if (held.empty()) return FailPublish(publish, "it is not there", false);
  held.key() = HeldBy(epoch(), publish.staged.staged_path());
  site_->files.staged.insert(std::move(held));
  Soon([=, this] { Replace(publish); });
}

void DriverProcess::TakeOver(const PublishOutput& publish) {
  const std::string& staged = publish.staged.staged_path();
  const uint64_t holder = HolderOf(site_->files, staged);
  if (holder == 0 || holder > epoch()) return FailPublish(publish, "it is not there", false);
  if (holder < epoch()) site_->world.Count("recovery: replacement of an output taken over");
  auto held = site_->files.staged.extract(HeldBy(holder, staged));
  held.key() = HeldBy(epoch(), staged);
  site_->files.staged.insert(std::move(held));
  Soon([=, this] { Replace(publish); });
}

// Under the name of this job driver alone.
void DriverProcess::Replace(const PublishOutput& publish) {
  SimFiles& files = site_->files;
  const auto held = files.staged.find(HeldBy(epoch(), publish.staged.staged_path()));
  if (held == files.staged.end()) return FailPublish(publish, "it is not there", false);
  if (held->second.contains(SimFiles::kMark)) {
    std::swap(files.published[publish.staged.target_path()], held->second);
    site_->world.Count("output: another job's replaced");
  }
  Soon([=, this] { EndPublish(publish); });
}

// What was staged, or replaced, is gone afterwards.
void DriverProcess::EndPublish(const PublishOutput& publish) {
  SimFiles& files = site_->files;
  const auto published = files.published.find(publish.staged.target_path());
  if (published != files.published.end()) published->second.erase(SimFiles::kMark);
  const std::string& path = publish.staged.staged_path();
  const std::string common = path.substr(0, path.rfind('-') + 1);
  std::erase_if(files.staged, [&](const auto& entry) {
    return !common.empty() && entry.first.starts_with(common);
  });
  Feed(PublishDone{publish.batch_ms, publish.staged.output(), "", false});
}

void DriverProcess::FailPublish(const PublishOutput& publish, const std::string& error,
                                bool fatal) {
  Feed(PublishDone{publish.batch_ms, publish.staged.output(), error, fatal});
}

}  // namespace sluice::sim
