#include "checkpoint/s3_life.h"

#include <charconv>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "checkpoint/driver_log.h"
#include "checkpoint/errors.h"
#include "checkpoint/s3_log_store.h"
#include "checkpoint/s3_object_store.h"
#include "common/status.h"
#include "glog/logging.h"

namespace sluice {
namespace {

constexpr char kMarkerHead[] = "A Sluice job keeps its checkpoints here.\n";
constexpr char kTableHead[] = "Sluice drivers keep their job table here.\n";
constexpr char kTableFolder[] = "/t-sluice";  // no prefix of a job has such a name in it
constexpr size_t kLifeDigits = 8;
constexpr uint64_t kLivesMax = 99'999'999;
constexpr int64_t kUploadLeftS = 3'600;
// A driver that has not appended for half of it looks before it appends (log_core.h).
constexpr int64_t kFenceKeptS = 600;

std::string MarkerPrefix(const std::string& prefix) { return prefix + "/life-"; }

std::string MarkerKey(const std::string& prefix, uint64_t life) {
  char digits[16];
  std::snprintf(digits, sizeof digits, "%08llu", static_cast<unsigned long long>(life));
  return MarkerPrefix(prefix) + digits;
}

std::string MarkerText(const S3Life& life) {
  return absl::StrCat(kMarkerHead, "spread=", life.spread_first ? "first" : "inside", "\nlog=",
                      life.log_place, "\n");
}

absl::StatusOr<S3Life> ParseMarker(uint64_t number, const std::string& where,
                                   const std::string& text) {
  for (const bool spread_first : {false, true}) {
    S3Life life{number, spread_first, ""};
    std::string head = MarkerText(life);
    head.pop_back();
    if (!text.starts_with(head) || !text.ends_with('\n')) continue;
    life.log_place = text.substr(head.size(), text.size() - head.size() - 1);
    if (MarkerText(life) == text && life.log_place.find('\n') == std::string::npos) return life;
  }
  return DamagedError("checkpoint damaged: " + where + " is no marker of a job");
}

absl::StatusOr<uint64_t> LifeOfKey(const std::string& prefix, const std::string& key) {
  const std::string_view digits = std::string_view(key).substr(MarkerPrefix(prefix).size());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (whole && digits.size() == kLifeDigits && number > 0) return number;
  return DamagedError("checkpoint damaged: no name of a life: " + key);
}

S3Place PlaceOf(const CheckpointUrl& url, const S3Life& life) {
  return {url.prefix, life.number, life.spread_first};
}

absl::Status CheckFits(const CheckpointUrl& url, const S3Life& life) {
  if (life.spread_first == url.spread_first) return absl::OkStatus();
  return RefusedError("the checkpoint was begun " +
                      std::string(life.spread_first ? "with" : "without") +
                      " ?spread=first, which is fixed for its life: " + url.text());
}

absl::Status CheckLogPlace(const CheckpointUrl& url, const S3Life& life,
                           const std::string& log_place) {
  if (life.log_place == log_place) return absl::OkStatus();
  const auto text = [](const std::string& place) {
    return place.empty() ? "with the checkpoint, without --log" : "at --log=" + place;
  };
  return RefusedError("the log of this checkpoint is " + text(life.log_place) + ", not " +
                      text(log_place) + ": " + url.text());
}

// Opens an epoch in a log that is about to be given up: its driver, if it still lives, is fenced
// at its next append.
absl::Status Fence(const std::shared_ptr<S3Bucket>& bucket, const S3Place& place, uint64_t nonce) {
  S3LogStore log(bucket, place);
  ASSIGN_OR_RETURN(const std::optional<uint64_t> first, log.FirstSlot());
  if (!first) return absl::OkStatus();
  LogOpenOptions options;
  options.nonce = nonce;
  options.first_slot = *first;
  const auto opened = DriverLog::Open(&log, [] { return RealClock().MonotonicUs(); }, options);
  if (!IsDamaged(opened.status())) return opened.status();
  LOG(WARNING) << "the log that is given up is damaged, so a driver that still writes it is not "
                  "fenced: " << opened.status();
  return absl::OkStatus();
}

// All of one life but the newest slot of its log, which stays while it may fence somebody.
absl::Status DeleteLife(S3Bucket* bucket, const S3Place& place, bool* all) {
  *all = true;
  for (const std::string& root : place.ObjectRoots()) {
    ASSIGN_OR_RETURN(const std::vector<S3Object> objects, bucket->List(root));
    std::vector<std::string> keys;
    for (const S3Object& object : objects) keys.push_back(object.key);
    RETURN_IF_ERROR(bucket->Delete(keys));
  }
  ASSIGN_OR_RETURN(const std::vector<S3Object> rest, bucket->List(place.root()));
  std::optional<S3Object> last;
  for (const S3Object& object : rest) {
    if (place.SlotOf(object.key)) last = object;
  }
  // By the store's clock both: this host's may be minutes ahead, and the fence just put.
  const bool keep = last && bucket->client().AnsweredAtS() - last->modified_s < kFenceKeptS;
  std::vector<std::string> keys;
  for (const S3Object& object : rest) {
    if (!keep || object.key != last->key) keys.push_back(object.key);
  }
  *all = !keep;
  return bucket->Delete(keys);
}

absl::Status DeleteLivesBefore(S3Bucket* bucket, const std::string& prefix, uint64_t number) {
  ASSIGN_OR_RETURN(const std::vector<S3Object> markers, bucket->List(MarkerPrefix(prefix)));
  for (const S3Object& marker : markers) {
    ASSIGN_OR_RETURN(const uint64_t life, LifeOfKey(prefix, marker.key));
    if (life >= number) continue;
    ASSIGN_OR_RETURN(const std::string text, bucket->Get(marker.key));
    ASSIGN_OR_RETURN(const S3Life old, ParseMarker(life, marker.key, text));
    bool all = false;
    RETURN_IF_ERROR(DeleteLife(bucket, {prefix, life, old.spread_first}, &all));
    if (all) RETURN_IF_ERROR(bucket->Delete({marker.key}));
  }
  return absl::OkStatus();
}

// A life whose driver crashed before the log's first slot holds nothing that could be lost.
absl::StatusOr<bool> HasBegun(const std::shared_ptr<S3Bucket>& bucket, const CheckpointUrl& url,
                              const std::optional<S3Life>& latest) {
  if (!latest) return false;
  if (!latest->log_place.empty()) return true;  // whoever opens that log judges it
  return S3LogStore(bucket, PlaceOf(url, *latest)).Begun();
}

// The marker is the first thing of a life, and what the endpoint is tried on.
absl::Status BeginLife(S3Bucket* bucket, const CheckpointUrl& url, const S3Life& life) {
  if (life.number > kLivesMax) return RefusedError("too many lives at " + url.text());
  const std::string key = MarkerKey(url.prefix, life.number);
  absl::Status status = bucket->PutIfAbsent(key, MarkerText(life));
  if (absl::IsAlreadyExists(status)) {
    return absl::UnavailableError("another driver begins a job at " + url.text());
  }
  RETURN_IF_ERROR(status);
  status = bucket->Probe(key, /*uploads=*/true);
  if (ExitCodeOf(status) == kExitRefused) (void)bucket->Delete({key});
  return status;
}

absl::Status TidyUp(S3Bucket* bucket, const S3Place& place) {
  RETURN_IF_ERROR(bucket->AbortUploads(place.root(), kUploadLeftS));
  if (place.spread_first) {
    for (const std::string& root : place.ObjectRoots()) {
      RETURN_IF_ERROR(bucket->AbortUploads(root, kUploadLeftS));
    }
  }
  return DeleteLivesBefore(bucket, place.prefix, place.life);
}

}  // namespace

absl::StatusOr<std::shared_ptr<S3Bucket>> ConnectS3(const std::string& bucket,
                                                    const S3ClientOptions& options) {
  const Variables variables = ProcessVariables();
  ASSIGN_OR_RETURN(const S3Settings settings, S3SettingsFrom(variables, bucket));
  LOG_IF(WARNING, settings.exposed)
      << "state goes to the S3 store at " << settings.host << " without TLS: whoever sees the "
      << "network can read it";
  auto client = std::make_shared<S3Client>(NewS3HttpTransport(settings),
                                           NewS3KeySource(variables, &RealClock()),
                                           options);
  return std::make_shared<S3Bucket>(bucket, std::move(client));
}

absl::StatusOr<std::unique_ptr<LogStore>> OpenS3Table(std::shared_ptr<S3Bucket> bucket,
                                                      const CheckpointUrl& url) {
  const S3Place place = {url.prefix + kTableFolder, 1, false};
  const std::string marker = place.prefix + "/table";
  const absl::Status put = bucket->PutIfAbsent(marker, kTableHead);
  if (!put.ok() && !absl::IsAlreadyExists(put)) return put;
  RETURN_IF_ERROR(bucket->Probe(marker, /*uploads=*/false));
  auto log = std::make_unique<S3LogStore>(std::move(bucket), place);
  ASSIGN_OR_RETURN(const bool begun, log->Begun());
  ASSIGN_OR_RETURN(const std::optional<uint64_t> first, log->FirstSlot());
  if (begun && !first) return DamagedError("the job table's log is missing: " + log->Where());
  return std::unique_ptr<LogStore>(std::move(log));
}

absl::StatusOr<std::optional<S3Life>> LatestS3Life(S3Bucket* bucket, const std::string& prefix) {
  ASSIGN_OR_RETURN(const std::vector<S3Object> markers, bucket->List(MarkerPrefix(prefix)));
  if (markers.empty()) return std::nullopt;
  const std::string& key = markers.back().key;
  ASSIGN_OR_RETURN(const uint64_t number, LifeOfKey(prefix, key));
  ASSIGN_OR_RETURN(const std::string text, bucket->Get(key));
  ASSIGN_OR_RETURN(S3Life life, ParseMarker(number, bucket->Where() + "/" + key, text));
  return std::optional<S3Life>(std::move(life));
}

absl::StatusOr<S3JobStore> OpenS3JobStore(std::shared_ptr<S3Bucket> bucket,
                                          const CheckpointUrl& url, const S3JobOptions& options) {
  S3JobStore store;
  ASSIGN_OR_RETURN(const std::optional<S3Life> latest, LatestS3Life(bucket.get(), url.prefix));
  ASSIGN_OR_RETURN(const bool begun, HasBegun(bucket, url, latest));
  if (begun && options.fresh && !options.discard_checkpoint) {
    return RefusedError("a checkpoint exists in " + url.text() +
                        "; --fresh needs --discard-checkpoint to give it up");
  }
  if (!begun && options.must_exist) {
    return DamagedError("the log of this job, which has run before, is not at " + url.text());
  }
  store.known = begun && !options.fresh;
  if (store.known) {
    RETURN_IF_ERROR(CheckFits(url, *latest));
    RETURN_IF_ERROR(CheckLogPlace(url, *latest, options.log_place));
    RETURN_IF_ERROR(bucket->Probe(MarkerKey(url.prefix, latest->number), /*uploads=*/false));
    store.life = *latest;
  } else {
    store.life = {latest ? latest->number + 1 : 1, url.spread_first, options.log_place};
    if (begun) RETURN_IF_ERROR(Fence(bucket, PlaceOf(url, *latest), options.nonce));
    RETURN_IF_ERROR(BeginLife(bucket.get(), url, store.life));
  }
  const S3Place place = PlaceOf(url, store.life);
  const absl::Status tidy = TidyUp(bucket.get(), place);
  LOG_IF(WARNING, !tidy.ok()) << "what is left over in " << url.text() << " stays: " << tidy;
  if (options.log_place.empty()) store.log = std::make_unique<S3LogStore>(bucket, place);
  store.objects = std::make_unique<S3ObjectStore>(bucket, place);
  return store;
}

absl::StatusOr<std::unique_ptr<ObjectStore>> OpenS3Objects(std::shared_ptr<S3Bucket> bucket,
                                                           const CheckpointUrl& url) {
  ASSIGN_OR_RETURN(const std::optional<S3Life> latest, LatestS3Life(bucket.get(), url.prefix));
  if (!latest) return absl::NotFoundError("no job has a checkpoint at " + url.text());
  RETURN_IF_ERROR(CheckFits(url, *latest));
  return std::unique_ptr<ObjectStore>(
      std::make_unique<S3ObjectStore>(std::move(bucket), PlaceOf(url, *latest)));
}

absl::StatusOr<std::unique_ptr<LogStore>> OpenS3LogToRead(std::shared_ptr<S3Bucket> bucket,
                                                          const CheckpointUrl& url) {
  ASSIGN_OR_RETURN(const std::optional<S3Life> latest, LatestS3Life(bucket.get(), url.prefix));
  if (!latest) return absl::NotFoundError("no job has a checkpoint at " + url.text());
  RETURN_IF_ERROR(CheckFits(url, *latest));
  if (!latest->log_place.empty()) {
    return absl::NotFoundError("the log of " + url.text() + " is in " + latest->log_place);
  }
  return std::unique_ptr<LogStore>(
      std::make_unique<S3LogStore>(std::move(bucket), PlaceOf(url, *latest)));
}

}  // namespace sluice
