// What a cascade has done since it was opened.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "cascade/usage.hpp"
#include "cascade/usage_error.hpp"

namespace satchel::cascade {

class Counters {
 public:
  void resolved(const Usage& usage) { add(resolves_, static_cast<std::size_t>(usage.source)); }
  void fetched(UsageError error, std::int64_t ns) {
    add(requests_, static_cast<std::size_t>(error));
    request_ns_.fetch_add(static_cast<std::uint64_t>(ns), std::memory_order_relaxed);
  }
  void observed() { observations_.fetch_add(1, std::memory_order_relaxed); }
  void turn_not_had() { turns_not_had_.fetch_add(1, std::memory_order_relaxed); }

  // In the Prometheus text format.
  [[nodiscard]] std::string metrics() const;

 private:
  static constexpr std::size_t kSources = 6;
  static constexpr std::size_t kErrors = 14;

  template <std::size_t N>
  using Row = std::array<std::atomic<std::uint64_t>, N>;
  template <std::size_t N>
  static void add(Row<N>& row, std::size_t at) {
    row[at].fetch_add(1, std::memory_order_relaxed);
  }

  Row<kSources> resolves_{};
  Row<kErrors> requests_{};
  std::atomic<std::uint64_t> request_ns_{0};
  std::atomic<std::uint64_t> observations_{0};
  std::atomic<std::uint64_t> turns_not_had_{0};
};

}  // namespace satchel::cascade
