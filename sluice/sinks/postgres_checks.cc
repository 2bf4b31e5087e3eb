// The PostgreSQL sink at a real server, whose libpq words are in $SLUICE_TEST_POSTGRES. Run by
// tests/system/postgres_test.py.
#include <atomic>
#include <cstdlib>
#include <future>
#include <latch>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/sinks/postgres.h"

namespace sluice::postgres {
namespace {

using testing::ElementsAre;

class PostgresTest : public testing::Test {
 protected:
  PostgresTest() : sink_({.connection = Words(), .ledger = Ledger()}), own_(Words()) {
    pqxx::work transaction(own_);
    transaction.exec("DROP TABLE IF EXISTS " + Ledger() + "; DROP TABLE IF EXISTS notes; " +
                     "CREATE TABLE notes (n bigint, text text)");
    transaction.commit();
  }
  static std::string Words() { return std::getenv("SLUICE_TEST_POSTGRES"); }
  static std::string Ledger() { return "checked_ledger"; }
  static PartitionIdentity Identity(int64_t batch_ms, uint64_t fence, uint32_t partition = 0) {
    return {0xABCDEF0123456789, 2, batch_ms, partition, fence};
  }
  static Sink::Write Note(int64_t n) {
    return [n](pqxx::work& transaction) {
      transaction.exec_params("INSERT INTO notes VALUES ($1, 'x')", n);
    };
  }
  std::vector<int64_t> Notes() {
    pqxx::work transaction(own_);
    std::vector<int64_t> notes;
    for (const auto& row : transaction.exec("SELECT n FROM notes ORDER BY n")) {
      notes.push_back(row[0].as<int64_t>());
    }
    return notes;
  }
  int64_t LedgerRows() {
    pqxx::work transaction(own_);
    return transaction.exec("SELECT count(*) FROM " + Ledger())[0][0].as<int64_t>();
  }

  Sink sink_;
  pqxx::connection own_;
};

TEST_F(PostgresTest, WhatIsRepeatedIsNotRun) {
  EXPECT_TRUE(sink_.Once(Identity(100, 1), Note(1)));
  EXPECT_FALSE(sink_.Once(Identity(100, 1), Note(2)));
  EXPECT_FALSE(sink_.Once(Identity(100, 7), Note(3)));  // by the next generation
  EXPECT_TRUE(sink_.Once(Identity(100, 7, /*partition=*/1), Note(4)));
  EXPECT_TRUE(sink_.Once(Identity(200, 7), Note(5)));
  EXPECT_THAT(Notes(), ElementsAre(1, 4, 5));
}

TEST_F(PostgresTest, AnOlderFenceIsRefused) {
  EXPECT_TRUE(sink_.Once(Identity(100, 5), Note(1)));
  EXPECT_THROW(sink_.Once(Identity(200, 4), Note(2)), Refused);
  EXPECT_THROW(sink_.Once(Identity(100, 4), Note(3)), Refused);
  EXPECT_FALSE(sink_.Once(Identity(100, 6), Note(4)));  // and is the newest from now on
  EXPECT_THROW(sink_.Once(Identity(200, 5), Note(5)), Refused);
  EXPECT_THAT(Notes(), ElementsAre(1));
}

TEST_F(PostgresTest, AThrowingFunctionLeavesNeitherRowsNorIdentity) {
  const auto fails = [](pqxx::work& transaction) {
    Note(1)(transaction);
    throw std::runtime_error("of the user");
  };
  EXPECT_THROW(sink_.Once(Identity(100, 1), fails), std::runtime_error);
  EXPECT_THAT(Notes(), ElementsAre());
  EXPECT_TRUE(sink_.Once(Identity(100, 1), Note(2)));
  EXPECT_THAT(Notes(), ElementsAre(2));
}

TEST_F(PostgresTest, AWrongStatementIsNotTriedAgain) {
  int runs = 0;
  EXPECT_THROW(sink_.Once(Identity(100, 1),
                          [&](pqxx::work& transaction) {
                            ++runs;
                            transaction.exec("INSERT INTO nowhere VALUES (1)");
                          }),
               pqxx::undefined_table);
  EXPECT_EQ(runs, 1);
}

TEST_F(PostgresTest, AConnectionThatIsLostIsOpenedAgain) {
  int runs = 0;
  EXPECT_TRUE(sink_.Once(Identity(100, 1), [&](pqxx::work& transaction) {
    Note(++runs)(transaction);
    if (runs == 1) transaction.exec("SELECT pg_terminate_backend(pg_backend_pid())");
  }));
  EXPECT_EQ(runs, 2);
  EXPECT_THAT(Notes(), ElementsAre(2));
}

TEST_F(PostgresTest, IdleConnectionsThatTheServerEndedCostNoFailure) {
  EXPECT_TRUE(sink_.Once(Identity(100, 1), Note(1)));
  {
    pqxx::work transaction(own_);
    transaction.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                     "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
    transaction.commit();
  }
  EXPECT_TRUE(sink_.Once(Identity(200, 1), Note(2)));
  EXPECT_THAT(Notes(), ElementsAre(1, 2));
}

// A constraint that is looked at in the commit makes the commit itself fail.
TEST_F(PostgresTest, AConflictInTheCommitLeavesNothing) {
  {
    pqxx::work transaction(own_);
    transaction.exec("ALTER TABLE notes ADD UNIQUE (n) DEFERRABLE INITIALLY DEFERRED");
    transaction.commit();
  }
  EXPECT_TRUE(sink_.Once(Identity(100, 1), Note(1)));
  EXPECT_THROW(sink_.Once(Identity(200, 1), Note(1)), pqxx::unique_violation);
  EXPECT_TRUE(sink_.Once(Identity(200, 1), Note(2)));
  EXPECT_THAT(Notes(), ElementsAre(1, 2));
}

TEST_F(PostgresTest, OfManyAtOnceWithOneIdentityOneWrites) {
  constexpr int kThreads = 8;
  std::latch start(kThreads);
  std::atomic<int> wrote = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      start.arrive_and_wait();  // the ledger is made at the same time, too
      wrote += sink_.Once(Identity(100, 1), Note(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrote, 1);
  EXPECT_EQ(Notes().size(), 1u);
}

// The first one is cut off with its transaction open; the next generation does not wait for ever.
TEST_F(PostgresTest, ATransactionThatHangsIsEndedByTheServer) {
  const Sink hangs({.connection = Words(), .ledger = Ledger(),
                    .deadline = std::chrono::milliseconds(500)});
  std::promise<void> inside, over;
  std::thread zombie([&] {
    EXPECT_THROW(hangs.Once(Identity(100, 1),
                            [&](pqxx::work& transaction) {
                              Note(1)(transaction);
                              inside.set_value();
                              over.get_future().wait();
                              Note(2)(transaction);
                            }),
                 std::exception);
  });
  inside.get_future().wait();
  EXPECT_TRUE(sink_.Once(Identity(100, 2), Note(3)));
  over.set_value();
  zombie.join();
  EXPECT_THAT(Notes(), ElementsAre(3));
}

TEST_F(PostgresTest, TheLedgerHoldsOneRowPerPartition) {
  for (int64_t batch = 1; batch <= 50; ++batch) {
    for (uint32_t partition = 0; partition < 3; ++partition) {
      EXPECT_TRUE(sink_.Once(Identity(batch * 100, 1, partition), Note(batch)));
    }
    EXPECT_TRUE(sink_.Once(BatchIdentity{1, 1, batch * 100, 1}, Note(batch)));
  }
  EXPECT_EQ(LedgerRows(), 4);
}

// Stands for a batch of records.
struct Rows {
  template <class F>
  void ForEach(F f) const {
    f(std::tuple{int64_t{1}, std::optional<std::string>("tab\there, line\nand \\. \xC3\xA4")});
    f(std::tuple{int64_t{2}, std::optional<std::string>()});
    f(std::tuple{int64_t{3}, std::optional<std::string>("")});
  }
};

TEST_F(PostgresTest, CopiedTextsComeBackAsTheyWere) {
  EXPECT_TRUE(sink_.Once(Identity(100, 1), [](pqxx::work& transaction) {
    Copy(transaction, "notes", {"n", "text"}, Rows());
  }));
  pqxx::work transaction(own_);
  const pqxx::result rows = transaction.exec("SELECT text FROM notes ORDER BY n");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0][0].as<std::string>(), "tab\there, line\nand \\. \xC3\xA4");
  EXPECT_TRUE(rows[1][0].is_null());
  EXPECT_EQ(rows[2][0].as<std::string>(), "");
}

}  // namespace
}  // namespace sluice::postgres
