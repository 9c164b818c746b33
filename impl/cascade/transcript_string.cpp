#include "cascade/transcript_string.hpp"

#include <array>
#include <bit>
#include <cstdint>

#include "core/json_block.hpp"
#include "core/json_string.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace satchel::cascade {
namespace {

constexpr std::array<bool, 256> short_escape_letters() {
  std::array<bool, 256> letters{};
  for (const char c : {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'}) {
    letters[static_cast<unsigned char>(c)] = true;
  }
  return letters;
}
constexpr std::array<bool, 256> kShortEscape = short_escape_letters();

constexpr std::uint64_t below_lowest(std::uint64_t bits) { return (bits & -bits) - 1; }

// Whether each of `letters` (a bit for each byte from `at` on) is what may stand behind a
// backslash.
bool are_escapes(const char* at, std::uint64_t letters) {
  for (; letters != 0; letters &= letters - 1) {
    const char* const letter = at + std::countr_zero(letters);
    if (kShortEscape[static_cast<unsigned char>(*letter)]) continue;
    if (*letter != 'u' || core::json_code_unit(letter + 1, letter + 5) < 0) return false;
  }
  return true;
}

#if defined(__x86_64__)

#define SATCHEL_AVX2 __attribute__((target("avx2")))

struct Wide {
  __m256i low;
  __m256i high;
};

SATCHEL_AVX2 inline std::uint64_t mask_of(__m256i low, __m256i high) {
  return static_cast<std::uint32_t>(_mm256_movemask_epi8(low)) |
         std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(high))} << 32;
}

SATCHEL_AVX2 inline std::uint64_t equal(const Wide& x, char c) {
  const __m256i wanted = _mm256_set1_epi8(c);
  return mask_of(_mm256_cmpeq_epi8(x.low, wanted), _mm256_cmpeq_epi8(x.high, wanted));
}

SATCHEL_AVX2 inline std::uint64_t controls(const Wide& x) {
  const __m256i last = _mm256_set1_epi8(0x1f);
  return mask_of(_mm256_cmpeq_epi8(_mm256_max_epu8(x.low, last), last),
                 _mm256_cmpeq_epi8(_mm256_max_epu8(x.high, last), last));
}

// The bytes that are no letters of short escapes. A letter is known by its halves: the tables give
// each high half a bit of its own and each low half the bits of those that it goes with.
SATCHEL_AVX2 inline __m256i no_letters(__m256i x) {
  const __m256i of_high = _mm256_setr_epi8(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0,  //
                                           0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m256i of_low = _mm256_setr_epi8(0, 0, 13, 0, 8, 0, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1,  //
                                          0, 0, 13, 0, 8, 0, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1);
  const __m256i half = _mm256_set1_epi8(0x0f);
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(x, 4), half);
  const __m256i low = _mm256_and_si256(x, half);
  const __m256i both =
      _mm256_and_si256(_mm256_shuffle_epi8(of_high, high), _mm256_shuffle_epi8(of_low, low));
  return _mm256_cmpeq_epi8(both, _mm256_setzero_si256());
}

SATCHEL_AVX2 const char* behind_string_avx2(const char* at) {
  for (;;) {
    const Wide x = {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)),
                    _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32))};
    const std::uint64_t backslash = equal(x, '\\');
    const std::uint64_t control = controls(x);
    std::uint64_t quote = equal(x, '"');
    bool crosses = false;
    if (backslash != 0) {
      const std::uint64_t escaped = core::escaped_bytes(backslash, crosses);
      quote &= ~escaped;
      const std::uint64_t inside =
          (quote | control) == 0 ? ~std::uint64_t{0} : below_lowest(quote | control);
      const std::uint64_t rare = escaped & inside & mask_of(no_letters(x.low), no_letters(x.high));
      if (rare != 0 && !are_escapes(at, rare)) return nullptr;
    }
    const std::uint64_t stop = quote | control;
    if (stop != 0) {
      at += std::countr_zero(stop);
      return *at == '"' ? at + 1 : nullptr;
    }
    at += crosses ? core::kBlock - 1 : core::kBlock;
  }
}

#endif

using BehindString = const char* (*)(const char*);

BehindString fastest() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) return behind_string_avx2;
#endif
  return behind_string_portable;
}

const BehindString chosen = fastest();

}  // namespace

const char* behind_string_portable(const char* at) {
  for (;;) {
    const core::BlockMasks masks = core::classify_block(at);
    std::uint64_t stop = masks.quote | masks.control;
    bool crosses = false;
    if (masks.backslash != 0) {
      const std::uint64_t escaped = core::escaped_bytes(masks.backslash, crosses);
      stop = (masks.quote & ~escaped) | masks.control;
      const std::uint64_t inside = stop == 0 ? ~std::uint64_t{0} : below_lowest(stop);
      if (!are_escapes(at, escaped & inside)) return nullptr;
    }
    if (stop != 0) {
      at += std::countr_zero(stop);
      return *at == '"' ? at + 1 : nullptr;
    }
    // An escape that crosses the block is looked at again with its backslash.
    at += crosses ? core::kBlock - 1 : core::kBlock;
  }
}

const char* behind_string(const char* at) { return chosen(at); }

}  // namespace satchel::cascade
