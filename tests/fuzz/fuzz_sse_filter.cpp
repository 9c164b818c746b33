// The SSE filter over any bytes, cut anywhere.
//
// Input: one byte that says what is done with a usage (its two lowest bits) and how long an
// unfinished event may be (the others), one byte that seeds the cuts, then the stream.

#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include "core/json_tape.hpp"
#include "core/text.hpp"
#include "prompt_cache/response_filter.hpp"

namespace {

using namespace satchel;                // NOLINT: a program of one file
using namespace satchel::prompt_cache;  // NOLINT

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

class Judge final : public UsageJudge {
 public:
  explicit Judge(UsageEdit::Kind kind) : kind_(kind) {}
  UsageEdit judge(bool /*terminal*/) override { return {kind_, {900, 7, 0, UINT64_MAX}}; }

 private:
  UsageEdit::Kind kind_;
};

constexpr ResponseLimits kNoLimit{.max_event_bytes = SIZE_MAX};

struct Filtered {
  std::string text;
  UsageSeen seen;
};

Filtered in_one_chunk(std::string_view stream, UsageEdit::Kind kind) {
  Judge judge(kind);
  const auto filter = make_sse_filter(judge, kNoLimit);
  Filtered out;
  const auto bytes = filter->write(stream);
  require(bytes.ok(), "without a limit nothing fails");
  out.text = *bytes;
  const auto rest = filter->end();
  require(rest.ok(), "without a limit the end does not fail");
  out.text += *rest;
  out.seen = filter->seen();
  return out;
}

// Cut by `seed`. A stream that breaks the limit gives what came before the break.
Filtered in_chunks(std::string_view stream, UsageEdit::Kind kind, std::uint8_t seed,
                   const ResponseLimits& limits, bool* broken) {
  Judge judge(kind);
  const auto filter = make_sse_filter(judge, limits);
  std::minstd_rand random(seed + 1U);
  const std::size_t longest = 1 + seed % 32U;
  Filtered out;
  *broken = false;
  while (!stream.empty()) {
    const std::size_t size = std::min<std::size_t>(stream.size(), random() % (longest + 1));
    // A chunk of its own, so that a read behind it is seen and one that is kept is stale.
    const std::string chunk(stream.substr(0, size));
    stream.remove_prefix(size);
    const auto bytes = filter->write(chunk);
    require(bytes.ok() || bytes.error().status == core::Status::kStream, "a break is kStream");
    require(bytes.ok() || limits.max_event_bytes != SIZE_MAX, "without a limit nothing breaks");
    require(!*broken || !bytes.ok(), "once broken, always broken");
    *broken = !bytes.ok();
    if (bytes) out.text += *bytes;
  }
  const auto rest = filter->end();
  require(!*broken || !rest.ok(), "a broken stream never ends cleanly");
  *broken = !rest.ok();
  if (rest) out.text += *rest;
  out.seen = filter->seen();
  return out;
}

// What the lines of a UTF-8 stream say, by parsing every one of them.
UsageSeen read_every_line(std::string_view stream) {
  UsageSeen seen;
  core::JsonTape tape;
  while (!stream.empty()) {
    const std::string_view line = stream.substr(0, stream.find('\n'));
    stream.remove_prefix(std::min(stream.size(), line.size() + 1));
    if (line.substr(0, 5) != "data:" || !tape.read(core::trim(line.substr(5)))) continue;
    seen.usage |= tape.root().member("usage").is_object();
    seen.error_frame |= tape.root().member("error").exists();
  }
  return seen;
}

bool same(const UsageSeen& a, const UsageSeen& b) {
  return a.usage == b.usage && a.error_frame == b.error_frame && a.changed == b.changed &&
         a.prompt_tokens == b.prompt_tokens &&
         a.upstream_cached_tokens == b.upstream_cached_tokens && a.written == b.written;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto kind = static_cast<UsageEdit::Kind>((data[0] & 3U) % 3U);
  const ResponseLimits limits{.max_event_bytes = std::size_t{data[0]} >> 2U};
  const std::uint8_t seed = data[1];
  const std::string stream(reinterpret_cast<const char*>(data) + 2, size - 2);

  const Filtered whole = in_one_chunk(stream, kind);
  bool broken = false;
  const Filtered cut = in_chunks(stream, kind, seed, kNoLimit, &broken);
  require(!broken, "without a limit the stream ends");
  require(cut.text == whole.text, "any chunking gives the same bytes");
  require(same(cut.seen, whole.seen), "any chunking sees the same");

  const Filtered limited = in_chunks(stream, kind, seed, limits, &broken);
  require(whole.text.compare(0, limited.text.size(), limited.text) == 0,
          "what came before a break is right");
  require(broken || limited.text == whole.text, "what did not break is whole");

  require(whole.seen.changed || whole.text == stream, "what was not changed is the same");
  require(whole.seen.usage || !whole.seen.changed, "only a usage is changed");
  if (simdjson::validate_utf8(stream)) {
    const UsageSeen expected = read_every_line(stream);
    require(whole.seen.usage == expected.usage, "every usage is seen");
    require(whole.seen.error_frame == expected.error_frame, "every error is seen");
  }
  if (kind == UsageEdit::Kind::kScrub) {
    require(!in_one_chunk(whole.text, kind).seen.changed, "what is scrubbed is clean");
  }
  return 0;
}
