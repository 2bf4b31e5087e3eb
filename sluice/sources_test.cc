// Sources through the whole engine, in one process.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <latch>
#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sluice/testing.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;
using testing::Pair;
using testing::UnorderedElementsAre;

namespace fs = std::filesystem;

class Folder {
 public:
  explicit Folder(const std::string& name) : path_(testing::TempDir() + name) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  void Put(const std::string& name, const std::string& content) const {
    std::ofstream(path_ + "/.aside", std::ios::binary) << content;
    fs::rename(path_ + "/.aside", path_ + "/" + name);
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

TEST(ConstantStream, GivesTheSameDatasetAtEveryBatch) {
  for (const uint32_t slots : {1u, 2u, 7u}) {
    TestContext test({.slots = slots});
    const std::vector<std::string> words{"a", "b", "c", "d", "e"};
    TestOutput same(test, test.ssc().ConstantStream(words));
    for (int batch = 0; batch < 3; ++batch) {
      ASSERT_TRUE(test.RunBatch().ok());
      EXPECT_THAT(same.last(), Optional(words)) << slots;
    }
  }
}

TEST(ConstantStream, JoinsWithAnotherStream) {
  TestContext test;
  TestInput<std::pair<std::string, int64_t>> orders(test);
  const std::vector<std::pair<std::string, std::string>> names{{"a", "Anna"}, {"b", "Ben"}};
  TestOutput joined(test, orders.stream().Join(test.ssc().ConstantStream(names)));
  orders.Push({{"b", 1}, {"x", 2}});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(joined.last(), Optional(ElementsAre(Pair("b", Pair(1, "Ben")))));
  orders.Push({{"a", 3}});
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(joined.last(), Optional(ElementsAre(Pair("a", Pair(3, "Anna")))));
}

TEST(ConstantStream, AnEmptyOneHasAnEmptyDataset) {
  TestContext test;
  TestOutput none(test, test.ssc().ConstantStream(std::vector<int64_t>{}));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(none.last(), Optional(IsEmpty()));
}

TEST(FileStream, HandsWholeFilesToTheFunction) {
  const Folder in("whole-files");
  TestContext test({.slots = 3});
  TestOutput parsed(
      test, test.ssc().FileStream(in.path(), [](std::string_view path, std::string_view bytes) {
        const std::string name(path.substr(path.rfind('/') + 1));
        return std::vector<std::pair<std::string, int64_t>>{
            {name, static_cast<int64_t>(bytes.size())}};
      }));
  const std::string large(3'000'000, 'x');  // larger than a range that lines would be cut into
  in.Put("large", large);
  in.Put("small", "a\nb");
  in.Put("empty", "");
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*parsed.last(), UnorderedElementsAre(Pair("large", 3'000'000), Pair("small", 3),
                                                   Pair("empty", 0)));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(parsed.last(), Optional(IsEmpty()));
}

TEST(BinaryRecordsStream, CutsFilesIntoRecordsOnWhicheverTaskTheyFall) {
  const Folder in("binary");
  TestContext test({.slots = 4});
  TestOutput counts(test, test.ssc().BinaryRecordsStream(in.path(), 7).CountByValue());
  std::string content;
  for (int i = 0; i < 300'000; ++i) content += i % 3 == 0 ? "abcdefg" : "1234567";
  in.Put("a", content);
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(*counts.last(), UnorderedElementsAre(Pair("abcdefg", 100'000),
                                                   Pair("1234567", 200'000)));
}

TEST(BinaryRecordsStream, AFileOfAnotherLengthFailsTheBatchAndIsNamed) {
  const Folder in("odd-binary");
  TestContext test({.conf = {{"task_max_failures", "1"}}});
  TestOutput records(test, test.ssc().BinaryRecordsStream(in.path(), 7));
  in.Put("good", "12345671234567");
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(records.last(), Optional(ElementsAre("1234567", "1234567")));
  in.Put("odd", "12345678");
  const Outcome outcome = test.RunBatch();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.message,
              HasSubstr(in.path() + "/odd has 8 bytes, which are no whole number of records of 7"));
}

TEST(BinaryRecordsStream, RefusesALengthOfNothing) {
  TestContext test;
  test.ssc().BinaryRecordsStream("/in", 0).Print();
  EXPECT_EQ(test.RunBatch().exit_code, 3);
}

struct Order {
  std::string item;
  int64_t count;
  bool operator==(const Order&) const = default;
};

TEST(ObjectFiles, AreReadBackAsTheyWereSaved) {
  const Folder place("objects");
  const std::vector<Order> first{{"pen", 3}, {"ink", 1}}, second{{"", -1}};
  {
    TestContext test;
    TestInput<Order> orders(test);
    orders.stream().SaveAsObjectFiles(place.path() + "/orders", "bin");
    orders.Push(first);
    orders.PushNoDataset();
    orders.Push(second);
    for (int batch = 0; batch < 4; ++batch) ASSERT_TRUE(test.RunBatch().ok());
  }
  std::set<std::string> directories;
  for (const auto& entry : fs::directory_iterator(place.path())) {
    directories.insert(entry.path().filename().string());
    EXPECT_TRUE(fs::exists(entry.path() / "_SUCCESS"));
  }
  const auto name = [](int batch) {
    return "orders-" + std::to_string(TestContext::kZeroMs + 1000 * batch) + ".bin";
  };
  EXPECT_THAT(directories, UnorderedElementsAre(name(1), name(3), name(4)));
  TestContext test;
  TestOutput read(test, test.ssc().ObjectFileStream<Order>(place.path()));
  ASSERT_TRUE(test.RunBatch().ok());
  std::vector<Order> all = first;
  all.push_back(second[0]);
  EXPECT_THAT(read.last(), Optional(all));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(read.last(), Optional(IsEmpty()));
}

TEST(ObjectFiles, OfAnotherTypeFailTheBatchAndAreNamed) {
  const Folder place("other-objects");
  {
    TestContext test;
    TestInput<int64_t> numbers(test);
    numbers.stream().SaveAsObjectFiles(place.path() + "/numbers");
    numbers.Push({1, 2, 3});
    ASSERT_TRUE(test.RunBatch().ok());
  }
  TestContext test({.conf = {{"task_max_failures", "1"}}});
  TestOutput read(test, test.ssc().ObjectFileStream<Order>(place.path()));
  const Outcome outcome = test.RunBatch();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.message, HasSubstr("part-00000: its records are int64, not"));
}

// The counts of its batch did not balance, and the job ended with 1 at every relaunch.
TEST(FileStream, AnEmptyFileAloneIsABatchToo) {
  const Folder in("empty-file");
  TestContext test;
  TestOutput sizes(test, test.ssc().FileStream(in.path(), [](std::string_view, std::string_view b) {
    return std::vector<int64_t>{static_cast<int64_t>(b.size())};
  }));
  in.Put("empty", "");
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(sizes.last(), Optional(ElementsAre(0)));
}

TEST(TextFileStream, AFileThatChangesLaterIsNotReadAgain) {
  const Folder in("changed-later");
  TestContext test;
  TestOutput lines(test, test.ssc().TextFileStream(in.path()));
  in.Put("a", "one\n");
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(lines.last(), Optional(ElementsAre("one")));
  in.Put("a", "one\ntwo\n");
  in.Put("b", "three\n");
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(lines.last(), Optional(ElementsAre("three")));
}

TEST(TextFileStream, AYoungFileWaitsUntilItHasSettled) {
  const Folder in("settling");
  TestContext test({.conf = {{"file_settle", "1500ms"}}});
  TestOutput lines(test, test.ssc().TextFileStream(in.path()));
  in.Put("a", "one\n");
  const int64_t written_ms = TestContext::kZeroMs + 500;
  const timespec times[2] = {{written_ms / 1000, written_ms % 1000 * 1'000'000},
                             {written_ms / 1000, written_ms % 1000 * 1'000'000}};
  ASSERT_EQ(utimensat(AT_FDCWD, (in.path() + "/a").c_str(), times, 0), 0);
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(lines.last(), Optional(IsEmpty()));
  ASSERT_TRUE(test.RunBatch().ok());  // 1.5 s after it was written
  EXPECT_THAT(lines.last(), Optional(ElementsAre("one")));
}

// "b/link/.." is where the link leads, and up from there.
TEST(TextFileStream, APathThatClimbsBehindALinkIsWhereTheSystemFindsIt) {
  const Folder folder("climbing");
  for (const char* name : {"/a/in", "/a/x", "/b/in"}) fs::create_directories(folder.path() + name);
  fs::create_directory_symlink(folder.path() + "/a/x", folder.path() + "/b/link");
  folder.Put("a/in/1", "right\n");
  folder.Put("b/in/1", "wrong\n");
  TestContext test;
  TestOutput lines(test, test.ssc().TextFileStream(folder.path() + "/b/link/../in"));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(lines.last(), Optional(ElementsAre("right")));
}

TEST(TextFileStream, ADirectoryThatIsNotThereYetFailsNoBatch) {
  const Folder in("later");
  TestContext test;
  TestOutput lines(test, test.ssc().TextFileStream(in.path() + "/inner"));
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(lines.last(), Optional(IsEmpty()));
  fs::create_directories(in.path() + "/inner");
  in.Put("inner/a", "one\n");
  ASSERT_TRUE(test.RunBatch().ok());
  EXPECT_THAT(lines.last(), Optional(ElementsAre("one")));
}

// Stores `count` numbers, then waits for its end.
class Numbers : public Receiver<int64_t> {
 public:
  Numbers(int64_t from, int64_t count, std::shared_ptr<std::latch> stored)
      : from_(from), count_(count), stored_(std::move(stored)) {}
  void Run(Receiving<int64_t>& receiving) override {
    for (int64_t i = 0; i < count_; ++i) receiving.Store(from_ + i);
    stored_->count_down();
    while (!receiving.WaitStopping(1000)) {
    }
  }

 private:
  const int64_t from_;
  const int64_t count_;
  const std::shared_ptr<std::latch> stored_;
};

// Receivers have threads of their own: more of them than slots leave room for tasks all the same.
TEST(Receivers, AUnionOfSeveralRunsOnOneSlot) {
  TestContext test({.slots = 1});
  const auto stored = std::make_shared<std::latch>(3);
  std::vector<DStream<int64_t>> streams;
  for (int64_t from : {0, 100, 200}) {
    streams.push_back(test.ssc().ReceiverStream(Numbers(from, 50, stored)));
  }
  TestOutput all(test, test.ssc().Union(streams));
  ASSERT_TRUE(test.RunBatch().ok());
  stored->wait();
  ASSERT_TRUE(test.RunBatch().ok());
  std::vector<int64_t> seen = all.all();
  std::sort(seen.begin(), seen.end());
  std::vector<int64_t> wanted;
  for (int64_t from : {0, 100, 200}) {
    for (int64_t i = 0; i < 50; ++i) wanted.push_back(from + i);
  }
  EXPECT_EQ(seen, wanted);
}

// The other end of socket streams.
class Server {
 public:
  Server() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 4), 0);
    socklen_t size = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~Server() {
    HangUp();
    close(listener_);
  }
  int port() const { return port_; }
  void Accept() { link_ = accept(listener_, nullptr, nullptr); }
  void Send(std::string_view bytes) const {
    EXPECT_EQ(send(link_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Blocks until the other side has closed.
  void AwaitClose() {
    char byte;
    EXPECT_EQ(recv(link_, &byte, 1, 0), 0);
    HangUp();
  }
  void HangUp() {
    if (link_ >= 0) close(link_);
    link_ = -1;
  }

 private:
  const int listener_;
  int link_ = -1;
  int port_ = 0;
};

// Batches until so many records have come, or far too many batches.
template <class T>
void RunUntil(TestContext& test, const TestOutput<T>& output, size_t records) {
  for (int batch = 0; output.all().size() < records && batch < 100'000; ++batch) {
    ASSERT_TRUE(test.RunBatch().ok());
  }
}

TEST(SocketStream, AFunctionFindsRecordsInTheBytes) {
  Server server;
  TestContext test;
  TestOutput numbers(test, test.ssc().SocketStream<int64_t>(
                               "127.0.0.1", server.port(),
                               [](std::string_view bytes, RecordEmit<int64_t>& emit) -> size_t {
                                 const size_t end = bytes.find(';');
                                 if (end == bytes.npos) return 0;
                                 emit(std::stoll(std::string(bytes.substr(0, end))));
                                 return end + 1;
                               }));
  ASSERT_TRUE(test.RunBatch().ok());
  server.Accept();
  server.Send("1;22;3");
  RunUntil(test, numbers, 2);
  server.Send("33;-4;5");
  RunUntil(test, numbers, 4);
  EXPECT_THAT(numbers.all(), ElementsAre(1, 22, 333, -4));
  server.HangUp();  // the 5 has no end
  server.Accept();
  server.Send("6;");
  RunUntil(test, numbers, 5);
  EXPECT_THAT(numbers.all(), ElementsAre(1, 22, 333, -4, 6));
}

// The socket of this process that is connected to the port: a receiver's.
int SocketTo(int port) {
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    sockaddr_in peer{};
    socklen_t size = sizeof(peer);
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
        peer.sin_family == AF_INET && ntohs(peer.sin_port) == port) {
      return fd;
    }
  }
  return -1;
}

int OptionOf(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof(value);
  EXPECT_EQ(getsockopt(fd, level, name, &value, &size), 0);
  return value;
}

// The stream of a server whose host had vanished was silent for good.
TEST(SocketStream, AServerThatIsGoneWithoutAWordIsMissedWithinHalfAMinute) {
  Server server;
  TestContext test;
  TestOutput lines(test, test.ssc().SocketTextStream("127.0.0.1", server.port()));
  ASSERT_TRUE(test.RunBatch().ok());
  server.Accept();
  const int fd = SocketTo(server.port());
  ASSERT_GE(fd, 0);
  EXPECT_EQ(OptionOf(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_LE(OptionOf(fd, IPPROTO_TCP, TCP_KEEPIDLE) +
                OptionOf(fd, IPPROTO_TCP, TCP_KEEPINTVL) * OptionOf(fd, IPPROTO_TCP, TCP_KEEPCNT),
            30);
}

TEST(RawSocketStream, StoresBlocksAndConnectsAgainAfterABadFrame) {
  Server server;
  TestContext test;
  using Record = std::pair<std::string, int64_t>;
  TestOutput records(test, test.ssc().RawSocketStream<Record>("127.0.0.1", server.port()));
  const auto frame = [](const std::vector<Record>& block) {
    RecordBatch batch(kFixedSize<Record>);
    for (const Record& record : block) {
      EncodeRecord<Record>(record, batch.bytes());
      batch.EndRecord();
    }
    std::string encoded, framed;
    EncodeBatch(batch.view(), encoded);
    for (int shift = 24; shift >= 0; shift -= 8) {
      framed.push_back(static_cast<char>(encoded.size() >> shift));
    }
    return framed + encoded;
  };
  ASSERT_TRUE(test.RunBatch().ok());
  server.Accept();
  server.Send(frame({{"a", 1}, {"b", 2}}) + frame({{"c", 3}}));
  RunUntil(test, records, 3);
  std::string bad = frame({{"d", 4}});
  bad[4] ^= 1;  // its magic
  server.Send(bad);
  server.AwaitClose();
  server.Accept();
  server.Send(frame({{"e", 5}}));
  RunUntil(test, records, 4);
  EXPECT_THAT(records.all(),
              ElementsAre(Pair("a", 1), Pair("b", 2), Pair("c", 3), Pair("e", 5)));
}

}  // namespace
}  // namespace sluice
