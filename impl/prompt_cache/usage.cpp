#include "prompt_cache/usage.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <string_view>

namespace satchel::prompt_cache {
namespace {

// What providers write about their own caches. A customer who reads them would take them for a
// discount that was not given. `prompt_tokens_details.cached_tokens` is not among them: it belongs
// to the standard shape, so it is overwritten and never removed.
constexpr std::array<std::string_view, 6> kProviderFields = {
    "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation",
    "prompt_cache_hit_tokens", "prompt_cache_miss_tokens",    "cache_discount"};

bool is_provider_field(core::JsonValue key) {
  return std::any_of(kProviderFields.begin(), kProviderFields.end(),
                     [&](std::string_view field) { return key.text_equals(field); });
}

std::optional<std::uint64_t> unsigned_integer(core::JsonValue value) {
  std::uint64_t number = 0;
  if (!value.as_u64(&number)) return std::nullopt;
  return number;
}

// The tiers come from three sources that do not know each other, so that their sum may not fit.
std::uint64_t total_creation(const CacheUsage& usage) {
  std::uint64_t sum = 0;
  for (const std::uint64_t tokens : {usage.creation_5m, usage.creation_1h, usage.creation_24h}) {
    if (tokens > std::numeric_limits<std::uint64_t>::max() - sum) {
      return std::numeric_limits<std::uint64_t>::max();
    }
    sum += tokens;
  }
  return sum;
}

void note(core::JsonValue usage, UsageSeen& seen) {
  seen.usage = true;
  if (const auto tokens = unsigned_integer(usage.member("prompt_tokens"))) {
    seen.prompt_tokens = tokens;
  }
  if (!seen.upstream_cached_tokens) {
    seen.upstream_cached_tokens =
        unsigned_integer(usage.member("prompt_tokens_details").member("cached_tokens"));
  }
}

// False if there was nothing to do.
bool zero_cached_tokens(core::JsonValue usage, core::JsonEdits& edits) {
  const core::JsonValue cached = usage.member("prompt_tokens_details").member("cached_tokens");
  if (!cached.exists() || unsigned_integer(cached) == 0) return false;
  edits.replace(cached.begin(), cached.end(), "0");
  return true;
}

// Our counts, as members to put at the end of the usage object.
std::string count_members(const CacheUsage& counts) {
  return "\"cache_read_input_tokens\":" + std::to_string(counts.read) +
         ",\"cache_creation_input_tokens\":" + std::to_string(total_creation(counts)) +
         ",\"cache_creation\":{\"ephemeral_5m_input_tokens\":" +
         std::to_string(counts.creation_5m) +
         ",\"ephemeral_1h_input_tokens\":" + std::to_string(counts.creation_1h) +
         ",\"ephemeral_24h_input_tokens\":" + std::to_string(counts.creation_24h) + "}";
}

// `first`: the object will have no other members.
void write_counts(core::JsonValue usage, const CacheUsage& counts, bool first,
                  core::JsonEdits& edits) {
  const std::string read = std::to_string(counts.read);
  const core::JsonValue details = usage.member("prompt_tokens_details");
  std::string members = count_members(counts);
  if (!details.exists()) {
    members.insert(0, "\"prompt_tokens_details\":{\"cached_tokens\":" + read + "},");
  } else if (const core::JsonValue cached = details.member("cached_tokens"); cached.exists()) {
    edits.replace(cached.begin(), cached.end(), read);
  } else if (details.is_object()) {
    edits.append_member(details, "\"cached_tokens\":" + read, !core::JsonCursor(details).valid());
  }
  edits.append_member(usage, std::move(members), first);
}

}  // namespace

CacheUsage capped(const CacheUsage& usage, std::optional<std::uint64_t> prompt_tokens) {
  if (!prompt_tokens) return usage;
  const std::uint64_t creation = total_creation(usage);
  if (creation > *prompt_tokens) return {};
  CacheUsage fitting = usage;
  fitting.read = std::min(usage.read, *prompt_tokens - creation);
  return fitting;
}

void edit_usage(core::JsonValue usage, const UsageEdit& edit, core::JsonEdits& edits,
                UsageSeen& seen) {
  note(usage, seen);
  if (edit.kind == UsageEdit::Kind::kLeave) return;

  // All duplicates of a field go: a reader that keeps the first of them must not see it either.
  std::size_t members = 0;
  const std::size_t removed =
      core::json_remove_children(usage, edits, [&](const core::JsonCursor& cursor) {
        ++members;
        return is_provider_field(cursor.key());
      });

  if (edit.kind == UsageEdit::Kind::kInject) {
    seen.written = capped(edit.usage, unsigned_integer(usage.member("prompt_tokens")));
    write_counts(usage, seen.written, members == removed, edits);
    seen.changed = true;
  } else if (zero_cached_tokens(usage, edits) || removed > 0) {
    seen.changed = true;
  }
}

}  // namespace satchel::prompt_cache
