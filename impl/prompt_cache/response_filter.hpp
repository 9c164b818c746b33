// A response on its way from the upstream to the client: bytes in, bytes out, the usage edited.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "core/result.hpp"
#include "prompt_cache/usage.hpp"

namespace satchel::prompt_cache {

// One response body. One thread at a time. Views given out are valid until the next call, and may
// point into the bytes passed in.
class ResponseFilter {
 public:
  ResponseFilter() = default;
  ResponseFilter(const ResponseFilter&) = delete;
  ResponseFilter& operator=(const ResponseFilter&) = delete;
  virtual ~ResponseFilter() = default;

  // Bytes for the client. kStream: the response cannot go on; every later call says so again.
  virtual core::Result<std::string_view> write(std::string_view chunk) = 0;
  // The body ended: the bytes still held.
  virtual core::Result<std::string_view> end() = 0;
  [[nodiscard]] virtual const UsageSeen& seen() const = 0;
  // The last call gave what precedes the usage that counts, and keeps the rest until the judge need
  // not wait any more; then write() with nothing, or end() again, goes on.
  [[nodiscard]] virtual bool pending() const = 0;
};

struct ResponseLimits {
  std::size_t max_event_bytes = std::size_t{64} * 1024;        // of an unfinished SSE event
  std::size_t max_body_bytes = std::size_t{64} * 1024 * 1024;  // of a JSON body that is held
};

// `judge` must outlive the filter.
std::unique_ptr<ResponseFilter> make_sse_filter(UsageJudge& judge, const ResponseLimits& limits);
std::unique_ptr<ResponseFilter> make_json_filter(UsageJudge& judge, const ResponseLimits& limits);

}  // namespace satchel::prompt_cache
