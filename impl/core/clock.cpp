#include "core/clock.hpp"

#include <chrono>

namespace satchel::core {
namespace {

class SystemClock final : public Clock {
 public:
  std::int64_t unix_ns() override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  std::int64_t monotonic_ns() override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
};

// Never destroyed: threads may look at it while the process ends.
union Kept {
  constexpr Kept() : clock() {}
  constexpr ~Kept() {}  // NOLINT(modernize-use-equals-default): that would be none at all
  SystemClock clock;
};

constinit Kept kept;

}  // namespace

Clock& system_clock() { return kept.clock; }

}  // namespace satchel::core
