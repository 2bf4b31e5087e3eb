// What the typed layer says about the graph without knowing its nodes: a program includes this, and
// not graph.h.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

using NodeId = uint32_t;
using BatchValueId = uint32_t;
// The canonical bytes of the key that a record of a shuffle has; false: the record is no such pair.
using TakeKeyFunction = bool (*)(std::string_view record, std::string_view& key);

enum class FileFormat;
struct SourceSpec;
struct Node;
struct Output;
class LineageGraph;

}  // namespace sluice
