// `sluice checkpoint list`, `checkpoint verify` and `job checkpoints`.
#include <iostream>

#include "checkpoint/checkpoint_report.h"
#include "checkpoint/errors.h"
#include "checkpoint/open_store.h"
#include "checkpoint/rocksdb_state_part.h"
#include "common/exit_status.h"
#include "common/status.h"
#include "driver/daemon/status_json.h"
#include "sluice/cli/client.h"
#include "sluice/cli/commands.h"
#include "sluice/cli/table.h"
#include "sluice/cli/values.h"

namespace sluice::cli {
namespace {

proto::CheckpointRow RowOf(const CheckpointReport& report) {
  proto::CheckpointRow row;
  row.set_name(report.name);
  row.set_sequence(report.sequence);
  row.set_batch_ms(report.batch_ms);
  row.set_decided_slot(report.decided_slot);
  row.set_parts(report.parts);
  row.set_bytes(report.bytes);
  row.set_damage(report.damage);
  return row;
}

// Of what a store answers: the code that it asks for, if it does.
int FailOf(const absl::Status& status) {
  const int code = ExitCodeOf(status);
  return Fail(code != kExitOk ? code : ExitCodeOf(status.code()), std::string(Message(status)));
}

// `sound` stands where no damage was found: "whole" after everything was read.
void Show(const proto::CheckpointList& list, bool json, const std::string& sound) {
  std::vector<Row> rows = {{"CHECKPOINT", "BATCH_MS", "SLOT", "PARTS", "BYTES", "STATE"}};
  for (const proto::CheckpointRow& row : list.checkpoints()) {
    if (json) std::cout << daemon::CheckpointJson(row) << "\n";
    rows.push_back({row.name(), std::to_string(row.batch_ms()), std::to_string(row.decided_slot()),
                    std::to_string(row.parts()), std::to_string(row.bytes()),
                    row.damage().empty() ? sound : row.damage()});
  }
  if (!json) PrintTable(rows, std::cout);
}

// Exit code 8 and the first damage, if there is any.
int EndOf(const proto::CheckpointList& list, const std::vector<std::string>& damaged_blocks) {
  if (list.checkpoints().empty()) {
    return Fail(absl::NotFoundError("no checkpoint is there yet: " + list.where()));
  }
  for (const std::string& block : damaged_blocks) std::cerr << "sluice: " << block << std::endl;
  for (const proto::CheckpointRow& row : list.checkpoints()) {
    if (!row.damage().empty()) return Fail(kExitDamaged, row.damage());
  }
  return damaged_blocks.empty() ? kExitOk : kExitDamaged;
}

int Report(const Typed& typed, bool verify) {
  const std::string& url = typed.positional[0];
  absl::StatusOr<bool> json = WantsJson(typed);
  if (!json.ok()) return Fail(json.status());
  absl::StatusOr<std::unique_ptr<ObjectStore>> store = OpenObjectStore(url);
  if (!store.ok()) return FailOf(store.status());
  std::vector<std::string> damaged_blocks;
  const std::unique_ptr<StatePartCodec> codec = NewRocksDbStatePartCodec();
  const auto reports = verify ? VerifyCheckpoints(store->get(), codec.get(), &damaged_blocks)
                              : ReportCheckpoints(store->get());
  if (!reports.ok()) return FailOf(reports.status());
  proto::CheckpointList list;
  list.set_where(url);
  for (const CheckpointReport& report : *reports) *list.add_checkpoints() = RowOf(report);
  Show(list, *json, verify ? "whole" : "listed");
  return EndOf(list, damaged_blocks);
}

absl::StatusOr<proto::CheckpointList> OfJob(const Typed& typed) {
  RETURN_IF_ERROR(CheckName("job name", typed.positional[0]));
  ASSIGN_OR_RETURN(auto client, Client::Connect(typed));
  return client->Checkpoints(typed.positional[0]);
}

int JobCheckpoints(const Typed& typed) {
  absl::StatusOr<bool> json = WantsJson(typed);
  if (!json.ok()) return Fail(json.status());
  absl::StatusOr<proto::CheckpointList> list = OfJob(typed);
  if (!list.ok()) return Fail(list.status());
  Show(*list, *json, "listed");
  return EndOf(*list, {});
}

Command OneUrl(const std::string& name, const std::string& help) {
  Command command;
  command.name = name;
  command.help = help;
  command.positional = "URL";
  command.positional_min = command.positional_max = 1;
  command.flags = ClientFlags({OutputFlag()});
  return command;
}

}  // namespace

Command CheckpointListCommand() {
  Command command = OneUrl("checkpoint list",
                           "Lists the checkpoints in a store, without a driver.\n"
                           "Ends 1 when there is none, 8 when one is damaged as far as its list of "
                           "parts shows.");
  command.run = [](const Typed& typed) { return Report(typed, /*verify=*/false); };
  return command;
}

Command CheckpointVerifyCommand() {
  Command command = OneUrl("checkpoint verify",
                           "Reads every checkpoint in a store from end to end, and every received "
                           "block.\nEnds 8 and names object and place when one is damaged.");
  command.run = [](const Typed& typed) { return Report(typed, /*verify=*/true); };
  return command;
}

Command JobCheckpointsCommand() {
  Command command;
  command.name = "job checkpoints";
  command.help = "Lists the checkpoints of a job.";
  command.positional = "NAME";
  command.positional_min = command.positional_max = 1;
  command.flags = ClientFlags({OutputFlag()});
  command.run = JobCheckpoints;
  return command;
}

}  // namespace sluice::cli
