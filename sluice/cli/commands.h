// Every command of `sluice`: one function each, in a file of its own.
#pragma once

#include "sluice/cli/command_line.h"

namespace sluice::cli {

Command DriverCommand();        // driver_command.cc
Command WorkerCommand();        // worker_command.cc
Command SubmitCommand();        // submit_command.cc
Command PushCommand();          // push_command.cc
Command JobListCommand();       // job_list_command.cc
Command JobStatusCommand();
Command JobDrainCommand();      // job_stop_command.cc
Command JobCancelCommand();
Command JobAcceptLossCommand();
Command JobLogsCommand();       // job_logs_command.cc
Command JobCheckpointsCommand();  // checkpoint_commands.cc
Command JobLettersCommand();    // letters_command.cc
Command BatchReplayCommand();   // batch_commands.cc
Command BatchExportCommand();
Command CheckpointListCommand();
Command CheckpointVerifyCommand();
Command WorkerListCommand();    // worker_list_command.cc
Command WorkerDrainCommand();   // worker_drain_command.cc
Command ConfExplainCommand();   // conf_explain_command.cc

}  // namespace sluice::cli
