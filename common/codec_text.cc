#include "common/codec_text.h"

#include <charconv>

namespace sluice::internal {
namespace {

template <class T>
void AppendShortest(T value, std::string& out) {
  char text[32];
  out.append(text, std::to_chars(text, text + sizeof(text), value).ptr);
}

}  // namespace

void AppendNumber(int64_t value, std::string& out) { AppendShortest(value, out); }
void AppendNumber(uint64_t value, std::string& out) { AppendShortest(value, out); }
void AppendNumber(double value, std::string& out) { AppendShortest(value, out); }
void AppendNumber(float value, std::string& out) { AppendShortest(value, out); }

}  // namespace sluice::internal
