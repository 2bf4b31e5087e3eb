#include "common/status.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace sluice {
namespace {

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return value / 2;
}

absl::StatusOr<int> Quarter(int value) {
  ASSIGN_OR_RETURN(int half, Half(value));
  ASSIGN_OR_RETURN(half, Half(half));
  return half;
}

absl::Status CheckQuarter(int value) {
  RETURN_IF_ERROR(Quarter(value).status());
  return absl::OkStatus();
}

absl::StatusOr<int> Unwrap(absl::StatusOr<std::unique_ptr<int>> boxed) {
  ASSIGN_OR_RETURN(std::unique_ptr<int> value, std::move(boxed));
  return *value;
}

TEST(StatusTest, AssignsWhenAllIsWell) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_TRUE(CheckQuarter(8).ok());
}

TEST(StatusTest, ReturnsTheFirstError) {
  EXPECT_EQ(Quarter(6).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Message(CheckQuarter(7)), "odd");
}

TEST(StatusTest, MovesWhatCannotBeCopied) { EXPECT_EQ(*Unwrap(std::make_unique<int>(5)), 5); }

TEST(StatusTest, ConvertsViewsWithoutCopying) {
  const std::string text("a\0b", 3);
  EXPECT_EQ(ToAbsl(text).data(), text.data());
  EXPECT_EQ(FromAbsl(ToAbsl(text)), text);
}

TEST(StatusTest, AnnotatesErrorsOnly) {
  EXPECT_TRUE(Annotate(absl::OkStatus(), "job").ok());
  const absl::Status status = Annotate(absl::NotFoundError("gone"), "job wc");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Message(status), "job wc: gone");
}

}  // namespace
}  // namespace sluice
