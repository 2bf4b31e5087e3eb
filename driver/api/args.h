// The flags of a job program: whatever its build function asks for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "driver/api/graph_builder.h"

namespace sluice {

// Every question is recorded, so that flags which nobody asked for can be refused afterwards.
// A question that cannot be answered gives an empty value, and Check tells. Not thread-safe.
class Args {
 public:
  Args() = default;
  Args(std::vector<std::pair<std::string, std::string>> flags,
       std::vector<std::string> positional);
  // Takes the words behind a program's name: --k=v or --k v; --k alone is a flag that is set;
  // positional ones in between; behind -- everything is positional. The last of a repeated flag
  // counts.
  static Args Parse(const std::vector<std::string>& words);

  // Without a default the flag is required.
  std::string Get(std::string_view name);
  std::string Get(std::string_view name, std::string_view otherwise);
  int64_t GetInt(std::string_view name);
  int64_t GetInt(std::string_view name, int64_t otherwise);
  double GetDouble(std::string_view name);
  double GetDouble(std::string_view name, double otherwise);
  // True for --name, --name=true, 1, yes; false for false, 0, no.
  bool GetBool(std::string_view name, bool otherwise = false);
  bool Has(std::string_view name);
  const std::vector<std::string>& positional() const { return positional_; }

  const std::vector<std::pair<std::string, std::string>>& flags() const { return flags_; }
  const std::vector<std::string>& asked() const { return asked_; }

  // What is wrong with what was typed (exit code 2): a malformed or missing value, or a flag that
  // nobody asked for. `complete` false leaves missing ones out, for --explain; `all_asked` false
  // those that nobody asked for.
  Outcome Check(bool complete = true, bool all_asked = true) const;

 private:
  const std::string* Find(std::string_view name);
  const std::string* Require(std::string_view name);
  void Malformed(std::string_view name, std::string_view value, std::string_view wanted);

  std::vector<std::pair<std::string, std::string>> flags_;
  std::vector<std::string> positional_;
  std::vector<std::string> asked_;
  std::string missing_;
  std::string malformed_;
};

}  // namespace sluice
