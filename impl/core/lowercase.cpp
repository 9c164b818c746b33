#include "core/lowercase.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace satchel::core {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Every `stride`th character from first to last moves by `delta`.
struct Shift {
  char32_t first;
  char32_t last;
  std::uint8_t stride;
  std::int32_t delta;
};

// A character whose lowercase is several, in UTF-8.
struct Expansion {
  char32_t character;
  const char* lower;
};

#include "core/lowercase_table.inc"

constexpr char32_t kCapitalSigma = 0x3a3;
constexpr std::string_view kSigma = "\xcf\x83";
constexpr std::string_view kFinalSigma = "\xcf\x82";
constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// The entry of a sorted table with the least `last` that is not less than `c`; nullptr if none.
template <class Table>
const auto* at_or_after(const Table& table, char32_t c) {
  const auto* const found =
      std::lower_bound(std::begin(table), std::end(table), c,
                       [](const auto& entry, char32_t wanted) { return entry.last < wanted; });
  return found == std::end(table) ? nullptr : found;
}

template <class Table>
bool contains(const Table& table, char32_t c) {
  const auto* const range = at_or_after(table, c);
  return range != nullptr && range->first <= c;
}

bool is_ascii(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

char lower_ascii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool within(unsigned char byte, unsigned char first, unsigned char last) {
  return byte >= first && byte <= last;
}

struct Decoded {
  char32_t character = 0;
  std::size_t length = 1;  // of a part that is no UTF-8: the longest that could have begun some
  bool valid = false;
};

// How many bytes follow the lead byte, and what the first of them may be: Unicode, table 3-7.
struct Following {
  std::size_t count = 0;
  unsigned char first = 0x80;
  unsigned char last = 0xbf;
};

Following following(unsigned char lead) {
  if (within(lead, 0xc2, 0xdf)) return {1, 0x80, 0xbf};
  if (lead == 0xe0) return {2, 0xa0, 0xbf};
  if (lead == 0xed) return {2, 0x80, 0x9f};
  if (within(lead, 0xe1, 0xef)) return {2, 0x80, 0xbf};
  if (lead == 0xf0) return {3, 0x90, 0xbf};
  if (within(lead, 0xf1, 0xf3)) return {3, 0x80, 0xbf};
  if (lead == 0xf4) return {3, 0x80, 0x8f};
  return {};
}

// `at` must be before the end.
Decoded decode(std::string_view bytes, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[at + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  Following next = following(lead);
  if (next.count == 0) return {};
  char32_t character = lead & (0x3fU >> next.count);
  for (std::size_t i = 1; i <= next.count; ++i) {
    if (at + i == bytes.size() || !within(byte(i), next.first, next.last)) return {0, i, false};
    character = character << 6U | (byte(i) & 0x3fU);
    next.first = 0x80;
    next.last = 0xbf;
  }
  return {character, next.count + 1, true};
}

void append(std::string& text, char32_t c) {
  const auto put = [&text](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
    return;
  }
  if (c < 0x800) {
    put(0xc0 | c >> 6U);
  } else {
    if (c < 0x10000) {
      put(0xe0 | c >> 12U);
    } else {
      put(0xf0 | c >> 18U);
      put(0x80 | (c >> 12U & 0x3f));
    }
    put(0x80 | (c >> 6U & 0x3f));
  }
  put(0x80 | (c & 0x3f));
}

// Any but a capital sigma.
void append_lower(std::string& text, char32_t c) {
  if (c < 0x80) {
    text.push_back(lower_ascii(static_cast<char>(c)));
    return;
  }
  for (const Expansion& expansion : kExpansions) {
    if (expansion.character == c) {
      text.append(expansion.lower);
      return;
    }
  }
  const Shift* const shift = at_or_after(kShifts, c);
  const bool moves =
      shift != nullptr && shift->first <= c && (c - shift->first) % shift->stride == 0;
  append(text, moves ? static_cast<char32_t>(static_cast<std::int32_t>(c) + shift->delta) : c);
}

// Whether, from `at` on, a cased character comes next, those to be ignored aside. Sigmas are cased:
// this never looks beyond the next one, so that all looks together pass the text once.
bool cased_follows(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Decoded next = decode(text, at);
    if (!contains(kIgnored, next.character)) return contains(kCased, next.character);
    at += next.length;
  }
  return false;
}

}  // namespace

std::string utf8_lossy(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const Decoded next = decode(bytes, at);
    text.append(next.valid ? bytes.substr(at, next.length) : kReplacement);
    at += next.length;
  }
  return text;
}

std::string lowercase_lossy(std::string_view bytes) {
  std::string lower;
  if (is_ascii(bytes)) {
    lower.resize(bytes.size());
    std::transform(bytes.begin(), bytes.end(), lower.begin(), lower_ascii);
    return lower;
  }
  const std::string text = utf8_lossy(bytes);
  lower.reserve(text.size());
  bool after_cased = false;  // the last character that is not to be ignored
  for (std::size_t at = 0; at < text.size();) {
    const Decoded next = decode(text, at);
    at += next.length;
    if (next.character == kCapitalSigma) {
      lower.append(after_cased && !cased_follows(text, at) ? kFinalSigma : kSigma);
    } else {
      append_lower(lower, next.character);
    }
    if (!contains(kIgnored, next.character)) after_cased = contains(kCased, next.character);
  }
  return lower;
}

}  // namespace satchel::core
