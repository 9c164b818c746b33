// What became of a case, and of all of them.
#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace vectors {

// Gathers the differences of one case. A case in which nothing was compared has failed.
class Verdict {
 public:
  void equal(std::string_view field, std::string_view expected, std::string_view got);
  // Templates, so that no pointer becomes a bool.
  template <std::same_as<bool> Bool>
  void equal(std::string_view field, Bool expected, Bool got) {
    equal(field, std::string_view(expected ? "true" : "false"),
          std::string_view(got ? "true" : "false"));
  }
  template <std::integral A, std::integral B>
  requires(!std::same_as<A, bool> && !std::same_as<B, bool>) void equal(std::string_view field,
                                                                        A expected, B got) {
    equal(field, std::string_view(std::to_string(expected)), std::string_view(std::to_string(got)));
  }
  void fail(std::string_view field, std::string_view what);

  // Put before the name of every field compared from now on.
  void set_context(std::string context) { context_ = std::move(context); }

  [[nodiscard]] bool passed() const { return compared_ > 0 && problems_.empty(); }
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

 private:
  std::size_t compared_ = 0;
  std::string context_;
  std::vector<std::string> problems_;
};

class Tally {
 public:
  // Counts the case, and prints its differences under `name` where it has failed.
  void add(const std::string& name, const Verdict& verdict);
  void skip() { ++skipped_; }
  void add(const Tally& other);

  [[nodiscard]] std::size_t passed() const { return passed_; }
  [[nodiscard]] std::size_t failed() const { return failed_; }
  [[nodiscard]] std::size_t skipped() const { return skipped_; }

 private:
  std::size_t passed_ = 0;
  std::size_t failed_ = 0;
  std::size_t skipped_ = 0;
};

}  // namespace vectors
