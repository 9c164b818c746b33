// Asking the endpoint, and what its answer means (linesmith-core 0.4.1, fetcher.rs).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cascade/resolve.hpp"
#include "core/log.hpp"
#include "core/transport.hpp"

namespace satchel::cascade {

// "<base>/api/oauth/usage", with one slash whatever the base ends with.
std::string usage_url(std::string_view base);

// Seconds to wait as a Retry-After says, at most a day. nullopt: it says nothing readable, or a
// time that is over.
std::optional<std::int64_t> retry_after_s(std::string_view value, core::Timestamp now);

struct FetchTerms {
  std::string url;
  std::string user_agent;
  std::int64_t timeout_ns = 0;
};

Fetched fetch_usage(core::Transport& transport, const FetchTerms& terms, const core::Secret& token,
                    core::Timestamp now, core::Log& log);

}  // namespace satchel::cascade
