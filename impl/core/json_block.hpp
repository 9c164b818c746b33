// Strings, 64 bytes at a time: where one ends, and whether it can be taken as it stands.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace satchel::core {

constexpr std::ptrdiff_t kBlock = 64;
constexpr std::ptrdiff_t kProbe = 16;

// What 64 bytes of a string hold, a bit for each byte.
struct BlockMasks {
  std::uint64_t quote = 0;
  std::uint64_t backslash = 0;
  std::uint64_t control = 0;
  std::uint64_t high = 0;  // no ASCII
};

#if defined(__SSE2__)
inline std::uint64_t mask_of(__m128i lanes, unsigned part) {
  return std::uint64_t{static_cast<unsigned>(_mm_movemask_epi8(lanes))} << (16 * part);
}

inline __m128i load(const char* at, unsigned part) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 16 * part));
}

inline BlockMasks classify_block(const char* at) {
  const __m128i control = _mm_set1_epi8(0x1f);
  BlockMasks masks;
  _Pragma("GCC unroll 4") for (unsigned part = 0; part < 4; ++part) {
    const __m128i x = load(at, part);
    masks.quote |= mask_of(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), part);
    masks.backslash |= mask_of(_mm_cmpeq_epi8(x, _mm_set1_epi8('\\')), part);
    masks.control |= mask_of(_mm_cmpeq_epi8(_mm_max_epu8(x, control), control), part);
    masks.high |= mask_of(x, part);
  }
  return masks;
}

// Which of 16 bytes end a run of plain ASCII.
inline unsigned probe(const char* at) {
  const __m128i x = load(at, 0);
  const __m128i control = _mm_set1_epi8(0x1f);
  const __m128i named =
      _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
  const __m128i below = _mm_cmpeq_epi8(_mm_max_epu8(x, control), control);
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(named, below), x)));
}

// The letters of the escapes that canonical JSON uses too, but for \u.
inline std::uint64_t short_escapes(const char* at) {
  std::uint64_t mask = 0;
  _Pragma("GCC unroll 4") for (unsigned part = 0; part < 4; ++part) {
    const __m128i x = load(at, part);
    const auto is = [&](char letter) { return _mm_cmpeq_epi8(x, _mm_set1_epi8(letter)); };
    const __m128i found =
        _mm_or_si128(_mm_or_si128(_mm_or_si128(is('n'), is('"')), _mm_or_si128(is('\\'), is('t'))),
                     _mm_or_si128(is('r'), _mm_or_si128(is('b'), is('f'))));
    mask |= mask_of(found, part);
  }
  return mask;
}
#else
inline BlockMasks classify_block(const char* at) {
  BlockMasks masks;
  for (unsigned i = 0; i < kBlock; ++i) {
    const auto c = static_cast<unsigned char>(at[i]);
    masks.quote |= std::uint64_t{c == '"'} << i;
    masks.backslash |= std::uint64_t{c == '\\'} << i;
    masks.control |= std::uint64_t{c < 0x20} << i;
    masks.high |= std::uint64_t{c >= 0x80} << i;
  }
  return masks;
}

inline unsigned probe(const char* at) {
  unsigned mask = 0;
  for (unsigned i = 0; i < kProbe; ++i) {
    const auto c = static_cast<unsigned char>(at[i]);
    mask |= static_cast<unsigned>(c == '"' || c == '\\' || c < 0x20 || c >= 0x80) << i;
  }
  return mask;
}

inline std::uint64_t short_escapes(const char* at) {
  std::uint64_t mask = 0;
  for (unsigned i = 0; i < kBlock; ++i) {
    const char c = at[i];
    const bool letter =
        c == 'n' || c == '"' || c == '\\' || c == 't' || c == 'r' || c == 'b' || c == 'f';
    mask |= std::uint64_t{letter} << i;
  }
  return mask;
}
#endif

// The bytes that a backslash before them escapes, given that the first is not. `crosses`: the last
// byte is a backslash that escapes the byte behind the block. Backslashes come in runs; adding the
// starts of the runs that begin at an odd place carries through each run and tells whether it ends
// at an even or an odd one.
inline std::uint64_t escaped_bytes(std::uint64_t backslash, bool& crosses) {
  constexpr std::uint64_t kEven = 0x5555555555555555;
  const std::uint64_t follows = backslash << 1;
  const std::uint64_t odd_starts = backslash & ~kEven & ~follows;
  std::uint64_t ends = 0;
  crosses = __builtin_add_overflow(odd_starts, backslash, &ends);
  return (kEven ^ (ends << 1)) & follows;
}

}  // namespace satchel::core
