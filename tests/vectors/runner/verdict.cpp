#include "verdict.hpp"

#include <algorithm>
#include <cstdio>

namespace vectors {

namespace {

// Bodies are kilobytes: what is shown is the surroundings of the first difference.
constexpr std::size_t kBefore = 60;
constexpr std::size_t kShown = 160;
constexpr std::size_t kProblemsShown = 5;

// In ASCII: bytes are what was compared, and an excerpt may begin inside a character.
void append_printable(std::string& out, std::string_view bytes) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out.push_back(c);
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    out += escaped;
  }
}

std::string excerpt(std::string_view bytes, std::size_t from) {
  std::string out = from > 0 ? "..." : "";
  append_printable(out, bytes.substr(std::min(from, bytes.size()), kShown));
  if (bytes.size() > from + kShown) out += "...";
  return out;
}

}  // namespace

void Verdict::equal(std::string_view field, std::string_view expected, std::string_view got) {
  ++compared_;
  if (expected == got) return;
  const auto differs =
      std::mismatch(expected.begin(), expected.end(), got.begin(), got.end()).first;
  const auto at = static_cast<std::size_t>(differs - expected.begin());
  const std::size_t from = at > kBefore ? at - kBefore : 0;
  std::string problem = context_ + std::string(field);
  if (from > 0) problem += " (differs at byte " + std::to_string(at) + ")";
  problem += "\n      expected  " + excerpt(expected, from);
  problem += "\n      got       " + excerpt(got, from);
  problems_.push_back(std::move(problem));
}

void Verdict::fail(std::string_view field, std::string_view what) {
  ++compared_;
  problems_.push_back(context_ + std::string(field) + ": " + std::string(what));
}

void Tally::add(const std::string& name, const Verdict& verdict) {
  if (verdict.passed()) {
    ++passed_;
    return;
  }
  ++failed_;
  if (verdict.problems().empty()) {
    std::printf("  %s: nothing in it that could be compared\n", name.c_str());
    return;
  }
  std::printf("  %s\n", name.c_str());
  std::size_t shown = 0;
  for (const std::string& problem : verdict.problems()) {
    if (++shown > kProblemsShown) {
      std::printf("    and %zu more\n", verdict.problems().size() - kProblemsShown);
      break;
    }
    std::printf("    %s\n", problem.c_str());
  }
}

void Tally::add(const Tally& other) {
  passed_ += other.passed_;
  failed_ += other.failed_;
  skipped_ += other.skipped_;
}

}  // namespace vectors
