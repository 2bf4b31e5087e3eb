// What is typed: settings, sizes, times, and where a checkpoint is. The first byte says what.
#include "checkpoint/checkpoint_url.h"
#include "common/config.h"
#include "common/units.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {
namespace {

void CheckSetting(std::string_view text) {
  Config config;
  if (!config.SetFlag(text).ok()) return;
  FUZZ_CHECK(config.Values().size() == 1);
  // What was taken can be read, as whatever it is.
  for (const ConfKey& key : ConfKeys()) {
    switch (key.kind) {
      case ConfKind::kDuration: config.DurationMs(key.name); break;
      case ConfKind::kBytes: config.Bytes(key.name); break;
      case ConfKind::kNumber: config.Number(key.name); break;
      default: break;
    }
    config.Text(key.name);
  }
  config.Explain();
  // It travels to executors as text.
  Config there;
  for (const auto& [key, value] : config.Values()) {
    FUZZ_CHECK(there.Set(ConfSource::kFlag, key, value).ok());
  }
  FUZZ_CHECK(there.Values() == config.Values());
}

void CheckUnits(std::string_view text) {
  if (const auto ms = ParseDurationMs(text)) FUZZ_CHECK(*ms >= 0);
  if (const auto bytes = ParseBytes(text)) FUZZ_CHECK(*bytes >= 0);
  ParseWhole(text);
}

void CheckUrl(std::string_view text) {
  const auto url = ParseCheckpointUrl(text);
  if (!url.ok()) return;
  const auto again = ParseCheckpointUrl(url->text());
  FUZZ_CHECK(again.ok() && again->text() == url->text());
}

}  // namespace

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds;
  for (const ConfKey& key : ConfKeys()) {
    seeds.push_back(std::string(1, '\0').append(key.name).append("=").append(key.otherwise));
  }
  for (const char* text : {"250ms", "1s", "2h", "64MiB", "10%", "9223372036854775807", "1.5s"}) {
    seeds.push_back("\1" + std::string(text));
  }
  for (const char* text : {"rocksdb:/var/lib/x", "s3://bucket/prefix?spread=first", "hdfs://x"}) {
    seeds.push_back("\2" + std::string(text));
  }
  return seeds;
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::fuzz;
  Input in(Bytes(data, size));
  switch (in.Byte() % 3) {
    case 0: CheckSetting(in.Rest()); break;
    case 1: CheckUnits(in.Rest()); break;
    case 2: CheckUrl(in.Rest()); break;
  }
  return 0;
}
