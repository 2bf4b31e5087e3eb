#include "driver/daemon/binary_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace sluice::daemon {
namespace {

// SHA-256 of "abc", from the standard that defines it.
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

class BinaryStoreTest : public testing::Test {
 protected:
  std::string root_ = testing::TempDir() + "/binaries_" +
                      testing::UnitTest::GetInstance()->current_test_info()->name();
  std::unique_ptr<BinaryStore> store_ = *BinaryStore::Open(root_);

  size_t Files() const {
    return std::distance(std::filesystem::directory_iterator(root_), {});
  }
};

TEST_F(BinaryStoreTest, KeepsWhatHasItsDigest) {
  auto upload = store_->Begin(kAbc, 3);
  ASSERT_TRUE(upload.ok());
  EXPECT_FALSE(store_->Has(kAbc, 3));
  ASSERT_TRUE((*upload)->Write("a").ok());
  ASSERT_TRUE((*upload)->Write("bc").ok());
  ASSERT_TRUE((*upload)->Finish().ok());
  EXPECT_TRUE(store_->Has(kAbc, 3));
  EXPECT_EQ(*DigestOfFile(*store_->PathOf(kAbc)), kAbc);
}

TEST_F(BinaryStoreTest, RefusesOtherBytesAndLeavesNothing) {
  {
    auto upload = store_->Begin(kAbc, 3);
    ASSERT_TRUE((*upload)->Write("abd").ok());
    EXPECT_EQ((*upload)->Finish().code(), absl::StatusCode::kDataLoss);
    auto broken = store_->Begin(kAbc, 3);
    EXPECT_EQ((*broken)->Write("abcd").code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(store_->Has(kAbc, 3));
  EXPECT_EQ(Files(), 0u);
}

TEST_F(BinaryStoreTest, NoNameLeavesTheRoot) {
  for (std::string name : {"", "..", "../../etc/passwd", "/etc/passwd", "BA78", "ba7816bf/../x"}) {
    EXPECT_FALSE(store_->PathOf(name).ok()) << name;
    EXPECT_FALSE(store_->Begin(name, 1).ok()) << name;
    EXPECT_FALSE(store_->Has(name, 1)) << name;
  }
}

TEST_F(BinaryStoreTest, RefusesWhatIsTooLarge) {
  EXPECT_FALSE(store_->Begin(kAbc, kBinaryBytesMax + 1).ok());
}

TEST_F(BinaryStoreTest, ForgetsBrokenUploadsWhenOpenedAnew) {
  std::ofstream(root_ + "/.upload-abcdef") << "half";
  store_ = *BinaryStore::Open(root_);
  EXPECT_EQ(Files(), 0u);
}

TEST_F(BinaryStoreTest, CollectsWhatIsNeitherNeededNorOnItsWayToAJob) {
  auto upload = *store_->Begin(kAbc, 3);
  ASSERT_TRUE(upload->Write("abc").ok());
  ASSERT_TRUE(upload->Finish().ok());
  EXPECT_EQ(store_->Collect({kAbc}), 0u);
  {
    const BinaryStore::Hold hold(store_.get(), {kAbc});
    const BinaryStore::Hold second(store_.get(), {kAbc});
    EXPECT_EQ(store_->Collect({}), 0u);
  }
  EXPECT_TRUE(store_->Has(kAbc, 3));
  EXPECT_EQ(store_->Collect({}), 1u);
  EXPECT_FALSE(store_->Has(kAbc, 3));
}

}  // namespace
}  // namespace sluice::daemon
