#include "driver/job/program.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice {
namespace {

std::string KeyOf(const Output& output) {
  const int kind = static_cast<int>(output.kind);
  if (WritesFiles(output.kind)) return absl::StrCat(kind, " ", output.prefix, " ", output.suffix);
  return absl::StrCat(kind, " ", output.label, " ", output.chain);
}

template <typename Things>
std::map<std::string, uint32_t> IndexOf(const Things& things) {
  std::map<std::string, uint32_t> index;  // of several of one key the first
  for (int i = 0; i < things.size(); ++i) index.emplace(things[i].key(), i);
  return index;
}

}  // namespace

void DescribeProgram(const StagePlan& plan, proto::ProgramSeen* seen) {
  std::map<std::string, int> known;
  // Two of one key are told apart by their order.
  const auto unique = [&](const std::string& key) {
    const int before = known[key]++;
    return before == 0 ? key : absl::StrCat(key, " #", before);
  };
  for (const Stage& stage : plan.stages()) {
    const Node& node = plan.graph().node(stage.root);
    if (stage.is_source) {
      auto& source = *seen->add_sources();
      source.set_node(node.id);
      source.set_stage(stage.id);
      source.set_key(unique("source " + SourceKey(node.source)));
    } else if (!node.state_name.empty()) {
      auto& state = *seen->add_states();
      state.set_name(node.state_name);
      // Where a key's entry is depends on it.
      state.set_type(node.partitioner == nullptr
                         ? node.state_type
                         : absl::StrCat(node.state_type, ", placed by a partitioner"));
      state.set_partitions(stage.partitions);
      state.set_spreads(node.partition_operator != nullptr &&
                        node.partition_operator->New()->spreads());
      if (node.holds_batches) state.set_slide_ms(node.slide_ms);
    }
  }
  for (const Output& output : plan.graph().outputs()) {
    auto& described = *seen->add_outputs();
    described.set_output(output.id);
    described.set_key(unique("output " + KeyOf(output)));
  }
}

Renumbering::Renumbering(const proto::ProgramSeen& former, const proto::ProgramSeen& now) {
  if (former.sources().empty() && former.outputs().empty()) return;
  const auto sources = IndexOf(now.sources());
  for (const auto& source : former.sources()) {
    const auto found = sources.find(source.key());
    if (found == sources.end()) {
      changes = true;
      continue;
    }
    const auto& same = now.sources(static_cast<int>(found->second));
    nodes[source.node()] = same.node();
    stages[source.stage()] = same.stage();
    changes |= source.node() != same.node() || source.stage() != same.stage();
  }
  const auto written = IndexOf(now.outputs());
  for (const auto& output : former.outputs()) {
    const auto found = written.find(output.key());
    if (found == written.end()) {
      changes = true;
      continue;
    }
    outputs[output.output()] = now.outputs(static_cast<int>(found->second)).output();
    changes |= output.output() != outputs[output.output()];
  }
}

ProgramChange CompareState(const proto::ProgramSeen& former, const proto::ProgramSeen& now) {
  ProgramChange change;
  std::map<std::string, const proto::ProgramSeen::State*> had, has;
  for (const auto& state : former.states()) had[state.name()] = &state;
  for (const auto& state : now.states()) has[state.name()] = &state;
  std::vector<std::string> refused;
  for (const auto& [name, state] : had) {
    const auto named = has.find(name);
    if (named == has.end()) continue;
    const int64_t slide_ms = named->second->slide_ms();
    if (state->slide_ms() == 0 || slide_ms % state->slide_ms() == 0) continue;
    refused.push_back(absl::StrCat("state ", name, " has a batch every ", state->slide_ms(),
                                   " ms, of which a slide of ", slide_ms, " ms is no multiple"));
  }
  for (const auto& [name, state] : had) {
    const auto found = has.find(name);
    if (found == has.end()) {
      change.dropped.push_back(name);
    } else if (found->second->type() != state->type()) {
      refused.push_back(absl::StrCat("state ", name, " is ", state->type(),
                                     " in the checkpoint and ", found->second->type(),
                                     " in the program"));
    } else if (found->second->partitions() != state->partitions()) {
      change.spread[name] = state->partitions();
      if (found->second->spreads()) continue;
      refused.push_back(absl::StrCat("state ", name, " has ", state->partitions(),
                                     " partitions in the checkpoint and ",
                                     found->second->partitions(), " in the program, and its "
                                     "operator cannot divide it anew"));
    }
  }
  change.refused = absl::StrJoin(refused, "; ");
  for (const auto& [name, state] : has) {
    if (!had.contains(name)) change.fresh.push_back(name);
  }
  return change;
}

}  // namespace sluice
