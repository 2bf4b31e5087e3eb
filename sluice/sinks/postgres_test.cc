// What of the PostgreSQL sink needs no server; postgres_checks.cc has the rest.
#include "sluice/sinks/postgres.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::postgres {
namespace {

using internal::FieldsOf;
using internal::WithTimeouts;
using testing::ElementsAre;
using testing::Optional;

TEST(PostgresConnection, ALostHostIsNoticedUnlessTheUserSaysHow) {
  EXPECT_EQ(WithTimeouts(""), "connect_timeout=10 tcp_user_timeout=20000");
  EXPECT_EQ(WithTimeouts("host=db connect_timeout=3"),
            "host=db connect_timeout=3 tcp_user_timeout=20000");
  EXPECT_EQ(WithTimeouts("postgresql://db/shop"),
            "postgresql://db/shop?connect_timeout=10&tcp_user_timeout=20000");
  EXPECT_EQ(WithTimeouts("postgres://db/shop?sslmode=require"),
            "postgres://db/shop?sslmode=require&connect_timeout=10&tcp_user_timeout=20000");
}

TEST(PostgresFields, AreTheTextsThatTheServerReadsBack) {
  EXPECT_THAT(FieldsOf(int64_t{-7}), ElementsAre(Optional(std::string("-7"))));
  EXPECT_THAT(FieldsOf(0.1), ElementsAre(Optional(std::string("0.1"))));
  EXPECT_THAT(FieldsOf(std::tuple{true, std::string_view("a\tb"), std::optional<int>()}),
              ElementsAre(Optional(std::string("t")), Optional(std::string("a\tb")),
                          std::nullopt));
}

TEST(PostgresFields, AZeroByteIsRefusedAndNotCutOff) {
  EXPECT_THROW(FieldsOf(std::string("a\0b", 3)), std::invalid_argument);
}

TEST(PostgresSink, ALedgerIsNamedByLettersOnly) {
  EXPECT_THROW(Sink({.connection = "", .ledger = "l; DROP TABLE words"}), std::invalid_argument);
  EXPECT_NO_THROW(Sink({.connection = "", .ledger = "shop.ledger_2"}));
}

TEST(PostgresSink, NoServerFailsAtTheDeadline) {
  const Sink sink({.connection = "host=/nonexistent",
                   .deadline = std::chrono::milliseconds(200)});
  int runs = 0;
  EXPECT_THROW(sink.Once(PartitionIdentity{1, 2, 3, 4, 5}, [&](pqxx::work&) { ++runs; }),
               pqxx::broken_connection);
  EXPECT_EQ(runs, 0);
}

}  // namespace
}  // namespace sluice::postgres
