#include "common/kill_point.h"

#include <array>

namespace sluice {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(KillPoint::kCount)> kNames = {
    "append begun",     "append synced",    "witness written", "slots forgotten",
    "plan logged",      "decided logged",   "published logged",
    "sealed logged",    "part written",     "part staged",     "output complete",
    "output renamed",   "output published", "received begun",  "received stored",
    "received logged",  "received restored", "received collected",
    "object written",   "object synced",
    "object linked",    "manifest begun",   "manifest put",    "object collected",
    "checkpoints read", "log opened",       "state loaded",
};

static_assert(!kNames.back().empty());

}  // namespace

std::string_view NameOf(KillPoint point) { return kNames.at(static_cast<size_t>(point)); }

}  // namespace sluice
