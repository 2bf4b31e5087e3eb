// What etcd's JSON gateway says: a page that is read can be written, and is read as the same.
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "checkpoint/etcd_answers.h"
#include "tests/fuzz/fuzz.h"

namespace sluice::fuzz {
namespace {

const std::string kRoot = "p/slots/";
constexpr uint64_t kFrom = 2;
constexpr char kHeader[] = R"({"header":{"cluster_id":"3249525912","revision":"3"})";

std::string Write(const EtcdPage& page) {
  std::string body = absl::StrCat(kHeader, page.more ? R"(,"more":true)" : "", R"(,"kvs":[)");
  for (const EtcdSlot& slot : page.slots) {
    absl::StrAppend(&body, body.back() == '[' ? "" : ",", R"({"key":")",
                    absl::Base64Escape(EtcdKey(kRoot, slot.number)), R"(","version":"1",)",
                    R"("value":")", absl::Base64Escape(slot.bytes), "\"}");
  }
  return body + "]}";
}

}  // namespace

std::vector<std::string> Seeds() {
  return {Write({{{2, "two"}, {7, ""}}, true}), Write({{{UINT64_MAX, "last"}}, false}), Write({}),
          std::string(kHeader) + R"(,"succeeded":true,"responses":[{"response_put":{}}]})",
          std::string(kHeader) + R"(,"deleted":"2"})",
          R"({"error":"etcdserver: request is too large","message":"too large","code":3})"};
}

}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const std::string_view bytes = fuzz::Bytes(data, size);
  (void)ParseEtcdSucceeded(bytes);
  FUZZ_CHECK(!EtcdFailure(500, bytes, "host:1").ok());
  const auto page = ParseEtcdPage(bytes, fuzz::kRoot, fuzz::kFrom);
  if (!page.ok()) return 0;
  uint64_t least = fuzz::kFrom;
  for (const EtcdSlot& slot : page->slots) {
    FUZZ_CHECK(slot.number >= least);
    least = slot.number + 1;
  }
  const auto again = ParseEtcdPage(fuzz::Write(*page), fuzz::kRoot, fuzz::kFrom);
  FUZZ_CHECK(again.ok() && again->slots == page->slots && again->more == page->more);
  return 0;
}
