// Records "NUMBER A B C", numbered from 1 as far as the file of --upto says. It needs word.txt and
// table.txt shipped with it: A is the word that its receiver reads, B the one that the build
// function reads, in each process, and C the last line of the table, as the task reads it.
#include <chrono>
#include <fstream>
#include <stdexcept>

#include "sluice/sluice.h"

using namespace std::chrono_literals;

std::string ReadWord() {
  std::string word;
  if (!(std::ifstream("word.txt") >> word)) throw std::runtime_error("there is no word.txt");
  return word;
}

std::string LastLine() {
  std::ifstream table("table.txt");
  table.seekg(-64, std::ios::end);
  std::string line, last;
  while (std::getline(table, line)) last = line;
  if (last.empty()) throw std::runtime_error("there is no table.txt");
  return last;
}

class Numbers : public sluice::Receiver<std::string> {
 public:
  explicit Numbers(std::string upto) : upto_(std::move(upto)) {}

  void Run(sluice::Receiving<std::string>& receiving) override {
    const std::string word = ReadWord();
    std::optional<int64_t> last = receiving.LastLogged("numbers");
    while (last.has_value() && !receiving.stopping()) {
      int64_t upto = 0;
      std::ifstream(upto_) >> upto;
      std::vector<std::string> lines;
      for (int64_t n = *last + 1; n <= upto && lines.size() < 50; ++n) {
        lines.push_back(std::to_string(n) + " " + word);
      }
      if (lines.empty()) {
        receiving.WaitStopping(20);
      } else {
        const std::span<const std::string> records(lines);
        last = receiving.Store(records, {.producer = "numbers", .first = *last + 1});
      }
    }
  }

 private:
  const std::string upto_;
};

void BuildJob(sluice::StreamingContext& ssc) {
  const std::string built = ReadWord();
  ssc.ReceiverStream(Numbers(ssc.args().Get("upto")))
      .Map([built](std::string_view line) {
        return std::string(line) + " " + built + " " + LastLine();
      })
      .SaveAsTextFiles(ssc.args().Get("output") + "/lines");
}

int main(int argc, char** argv) {
  return sluice::RunJob(argc, argv, {.name = "shipped", .batch_interval = 100ms}, BuildJob);
}
