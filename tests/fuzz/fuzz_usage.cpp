// The small texts that the cascade reads: the first byte says which.
//   b  an endpoint's answer     c  usage.json      l  usage.lock     o  satchel-observed.json
//   h  headers, a line each     k  credentials     t  Retry-After, a date, a time
// What is read is written so that it is read as the same; percentages and times keep their bounds.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "cascade/cache_file.hpp"
#include "cascade/credentials.hpp"
#include "cascade/fetch.hpp"
#include "cascade/lock_file.hpp"
#include "cascade/observation.hpp"
#include "cascade/usage.hpp"
#include "cascade/usage_reader.hpp"
#include "core/http_date.hpp"
#include "core/timestamp.hpp"

namespace {

using namespace satchel::cascade;  // NOLINT: a program of one file
using satchel::core::Timestamp;

constexpr Timestamp kNow{1'795'170'600, 0};

void require(bool kept, const char* promise) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

// The reference's reader takes a number of seventeen digits for one next to it, and so do we: an
// amount may come back changed in its last digits, and only there.
void settle_amount(std::optional<double>& read, const std::optional<double>& written) {
  require(read.has_value() == written.has_value(), "an amount stays");
  if (!read) return;
  const double off = std::abs(*read - *written);
  require(off <= std::abs(*written) * 1e-14 + 1e-300, "an amount is read as what was written");
  read = written;
}

// What stands in usage.json for this usage, read and written again.
void require_stable(const EndpointUsage& usage) {
  for (const auto& bucket : usage.buckets) {
    require(!bucket || (bucket->utilization >= 0 && bucket->utilization <= 100),
            "a utilisation is a percentage");
  }
  const std::string written = write_cache_file(usage, kNow);
  const std::optional<CacheEntry> read = read_cache_file(written);
  // Text that is nested almost as deep as may be is nested deeper in the file.
  if (!read) return;
  require(read->cached_at == kNow && read->data != nullptr, "a cache file holds what was written");
  EndpointUsage again = *read->data;
  require(again.extra_usage.has_value() == usage.extra_usage.has_value(), "extra usage stays");
  if (usage.extra_usage) {
    settle_amount(again.extra_usage->monthly_limit, usage.extra_usage->monthly_limit);
    settle_amount(again.extra_usage->used_credits, usage.extra_usage->used_credits);
  }
  require(write_cache_file(again, kNow) == written, "what was read is written as the same");
  Usage answer;
  answer.source = UsageSource::kCache;
  answer.endpoint = read->data;
  satchel::core::JsonTape tape;
  const std::string json = usage_json(answer);
  require(tape.read(json).ok(), "a usage is JSON");
}

void read_body(std::string_view text) {
  const ReadUsage read = read_endpoint_body(text);
  if (read.usage) require_stable(*read.usage);
}

void read_cache(std::string_view text) {
  const std::optional<CacheEntry> read = read_cache_file(text);
  if (read && read->data) require_stable(*read->data);
}

void read_lock(std::string_view text) {
  const Lock lock = read_lock_file(text, kNow);
  const Lock again = read_lock_file(write_lock_file(lock), {0, 0});
  require(again.blocked_until == lock.blocked_until && again.error == lock.error,
          "a lock that was written is read as the same");
  require(capped(lock, kNow).blocked_until <= kNow.seconds + 86'400, "a lock ends within a day");
}

void require_stable(const Observation& observation) {
  const std::string written = write_observation_file(observation);
  const std::optional<Observation> again = read_observation_file(written);
  require(again.has_value(), "an observation that was written can be read");
  require(write_observation_file(*again) == written, "and is written as the same");
  require(again->headers.size() <= 64, "observations are bounded");
  EndpointUsage usage;
  lay_over(*again, kNow, usage);
  require_stable(usage);
}

void read_observation(std::string_view text) {
  if (const std::optional<Observation> read = read_observation_file(text)) require_stable(*read);
}

void read_headers(std::string_view text) {
  std::vector<HeaderView> headers;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const std::size_t colon = line.find(':');
    headers.emplace_back(line.substr(0, colon),
                         colon == std::string_view::npos ? "" : line.substr(colon + 1));
  }
  if (const std::optional<Observation> seen = observe_headers(headers, kNow)) require_stable(*seen);
}

void read_times(std::string_view text) {
  const std::optional<std::int64_t> wait = retry_after_s(text, kNow);
  require(!wait || (*wait >= 0 && *wait <= 86'400), "nobody is told to wait for more than a day");
  if (const std::optional<Timestamp> time = satchel::core::parse_timestamp(text)) {
    require(satchel::core::parse_timestamp(satchel::core::format_timestamp(*time)) == time,
            "a time that is printed is read as the same");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0]) {
    case 'b':
      read_body(text);
      break;
    case 'c':
      read_cache(text);
      break;
    case 'l':
      read_lock(text);
      break;
    case 'o':
      read_observation(text);
      break;
    case 'h':
      read_headers(text);
      break;
    case 'k':
      require(read_credentials(text).error != UsageError::kNone ||
                  !read_credentials(text).token.empty(),
              "a token is not empty");
      break;
    case 't':
      read_times(text);
      break;
    default:
      break;
  }
  return 0;
}
