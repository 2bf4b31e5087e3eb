// A small exhaustive model: drivers that take over from each other, every order in which their
// store commands take effect and are answered, with puts that fail, or succeed without an answer,
// and with crashes and relaunches.
#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/errors.h"
#include "checkpoint/log_core.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr int kDrivers = 2;

// How large a model is.
struct Limits {
  int appends_each;
  int faults;
  int crashes;
};

struct Driver {
  std::optional<LogCore> core;       // nothing: not started or crashed
  std::optional<LogCommand> asked;   // not yet carried out
  std::optional<LogEvent> answer;    // carried out, not yet delivered
  int appends = 0;
  int launches = 0;
  std::string history;  // of its events: a core is a function of them
};

// All that there is; copied at every branch.
struct World {
  std::map<uint64_t, std::string> slots;
  uint64_t witness = 0;
  std::vector<Driver> drivers = std::vector<Driver>(kDrivers);
  std::set<std::string> acknowledged;
  std::set<uint64_t> epochs;  // reported open
  int faults_left = 0;
  int crashes_left = 0;
};

std::string Describe(const LogEvent& event) {
  std::string text = std::to_string(event.index()) + ";";
  if (const auto* read = std::get_if<LogReadDone>(&event)) {
    text += std::to_string(read->slots.size());  // a prefix of what there is, and slots are final
  } else if (const auto* put = std::get_if<LogPutDone>(&event)) {
    text += std::to_string(put->slot) + "=" + std::to_string(put->status.raw_code());
  } else if (const auto* get = std::get_if<LogGetDone>(&event)) {
    text += std::to_string(get->slot);
  }
  return text + ";";
}

// Worlds of the same name have the same future.
std::string NameOf(const World& world) {
  std::string name = std::to_string(world.faults_left) + "," + std::to_string(world.crashes_left);
  for (const Driver& driver : world.drivers) {
    name += "|" + driver.history + (driver.core ? "c" : "") + (driver.asked ? "a" : "");
    if (driver.answer) name += Describe(*driver.answer);
  }
  for (const auto& [slot, bytes] : world.slots) {
    name += "|" + std::to_string(LogRecordChecksum(bytes));
  }
  for (const std::string& payload : world.acknowledged) name += "|" + payload;
  return name;
}

class Model {
 public:
  explicit Model(const Limits& limits) : limits_(limits) {
    World world;
    world.faults_left = limits.faults;
    world.crashes_left = limits.crashes;
    Explore(world);
  }

  int worlds_ = 0;
  int ends_ = 0;
  int fenced_ = 0;

 private:
  void Explore(const World& world) {
    if (!seen_.insert(NameOf(world)).second) return;
    ++worlds_;
    bool end = true;
    for (int i = 0; i < kDrivers; ++i) {
      const Driver& driver = world.drivers[i];
      if (!driver.core) {
        if (driver.launches <= limits_.crashes) end &= !Branch(world, i, &Model::Launch);
        continue;
      }
      if (driver.asked) end &= !Branch(world, i, &Model::CarryOut);
      if (driver.answer) end &= !Branch(world, i, &Model::Deliver);
      const bool puts = driver.asked && std::holds_alternative<LogPut>(*driver.asked);
      if (puts && world.faults_left > 0) {
        Branch(world, i, &Model::FailPut);
        Branch(world, i, &Model::PutWithoutAnswer);
      }
      if (world.crashes_left > 0 && driver.appends > 0) Branch(world, i, &Model::Crash);
    }
    if (end) CheckEnd(world);
  }

  bool Branch(const World& world, int i, void (Model::*step)(World*, Driver*, int)) {
    if (testing::Test::HasFailure()) return true;
    World next = world;
    (this->*step)(&next, &next.drivers[i], i);
    Explore(next);
    return true;
  }

  void Launch(World* world, Driver* driver, int i) {
    LogOpenOptions options;
    options.nonce = static_cast<uint64_t>(++driver->launches) * 10 + static_cast<uint64_t>(i);
    driver->core.emplace(options);
    driver->appends = 0;
    Step(world, driver, i, LogStart{});
  }

  void CarryOut(World* world, Driver* driver, int) {
    const LogCommand asked = *std::exchange(driver->asked, std::nullopt);
    if (const auto* read = std::get_if<LogRead>(&asked)) {
      LogReadDone done;
      done.slots.assign(world->slots.lower_bound(read->from), world->slots.end());
      if (!world->slots.empty()) done.witness = world->witness;
      driver->answer = done;
    } else if (const auto* put = std::get_if<LogPut>(&asked)) {
      driver->answer = LogPutDone{put->slot, Put(world, *put)};
    } else if (const auto* get = std::get_if<LogGet>(&asked)) {
      driver->answer = LogGetDone{get->slot, world->slots.at(get->slot)};
    } else {
      ADD_FAILURE() << "nothing is torn here";
    }
  }

  static absl::Status Put(World* world, const LogPut& put) {
    if (!world->slots.emplace(put.slot, put.bytes).second) return absl::AlreadyExistsError("");
    world->witness = std::max(world->witness, put.slot);
    return absl::OkStatus();
  }

  void FailPut(World* world, Driver* driver, int) {
    --world->faults_left;
    const LogPut put = std::get<LogPut>(*std::exchange(driver->asked, std::nullopt));
    driver->answer = LogPutDone{put.slot, absl::UnavailableError("failed")};
  }

  void PutWithoutAnswer(World* world, Driver* driver, int i) {
    const LogPut put = std::get<LogPut>(*driver->asked);
    (void)Put(world, put);
    FailPut(world, driver, i);
  }

  void Crash(World* world, Driver* driver, int) {
    --world->crashes_left;
    driver->core.reset();
    driver->asked.reset();
    driver->answer.reset();
  }

  void Deliver(World* world, Driver* driver, int i) {
    Step(world, driver, i, *std::exchange(driver->answer, std::nullopt));
  }

  void Step(World* world, Driver* driver, int i, const LogEvent& event) {
    driver->history += Describe(event);
    for (const LogCommand& command : driver->core->Step(0, event)) {
      if (const auto* opened = std::get_if<LogOpened>(&command)) {
        // A driver may learn late that it had an epoch; what was decided since is not its to know.
        const bool newest = world->epochs.empty() || opened->epoch > *world->epochs.rbegin();
        EXPECT_TRUE(world->epochs.insert(opened->epoch).second) << "an epoch has two owners";
        if (newest) CheckReplay(*world, *opened);
        Append(world, driver, i);
      } else if (std::holds_alternative<LogAppended>(command)) {
        world->acknowledged.insert(Payload(*driver, i));
        Append(world, driver, i);
      } else if (const auto* stopped = std::get_if<LogStopped>(&command)) {
        EXPECT_TRUE(IsFenced(stopped->status)) << stopped->status;
        ++fenced_;
      } else if (std::holds_alternative<LogStalled>(command)) {
        Step(world, driver, i, LogRetry{});
      } else {
        driver->asked = command;
      }
    }
  }

  static std::string Payload(const Driver& driver, int i) {
    return std::to_string(i) + "/" + std::to_string(driver.launches) + "/" +
           std::to_string(driver.appends);
  }

  void Append(World* world, Driver* driver, int i) {
    if (driver->appends == limits_.appends_each) return;
    ++driver->appends;
    Step(world, driver, i, LogAppend{1, {Payload(*driver, i)}});
  }

  // Whoever opens an epoch has everything that was acknowledged before, once.
  static void CheckReplay(const World& world, const LogOpened& opened) {
    std::multiset<std::string> found;
    for (const ReplayedEntry& entry : opened.entries) found.insert(entry.payload);
    for (const std::string& payload : world.acknowledged) {
      EXPECT_EQ(found.count(payload), 1u) << payload << " was lost or is there twice";
    }
    EXPECT_EQ(found.size(), std::set<std::string>(found.begin(), found.end()).size());
  }

  void CheckEnd(const World& world) {
    ++ends_;
    LogChain chain(1, "model");
    std::multiset<std::string> live;
    for (const auto& [slot, bytes] : world.slots) {
      const auto record = chain.Decode(slot, bytes);
      ASSERT_TRUE(record.ok()) << record.status();
      const auto verdict = chain.Follow(slot, *record);
      ASSERT_TRUE(verdict.ok()) << verdict.status();
      if (*verdict == LogChain::Verdict::kLive) {
        live.insert(record->entries.begin(), record->entries.end());
      }
    }
    for (const std::string& payload : world.acknowledged) ASSERT_EQ(live.count(payload), 1u);
  }

  const Limits limits_;
  std::set<std::string> seen_;
};

TEST(LogModelTest, NoOrderOfEventsLosesOrDoublesAnAcknowledgedAppend) {
  const Limits all[] = {
      {.appends_each = 2, .faults = 1, .crashes = 0},
      {.appends_each = 2, .faults = 0, .crashes = 1},
      {.appends_each = 1, .faults = 1, .crashes = 1},
  };
  for (const Limits& limits : all) {
    const Model model(limits);
    std::printf("%d appends, %d faults, %d crashes: %d worlds, %d ends, %d times fenced\n",
                limits.appends_each, limits.faults, limits.crashes, model.worlds_, model.ends_,
                model.fenced_);
    EXPECT_GT(model.ends_, 10);
    EXPECT_GT(model.fenced_, 100);
  }
}

}  // namespace
}  // namespace sluice
