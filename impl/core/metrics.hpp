// Counters and histograms that any thread may add to, and their text in the Prometheus format.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace satchel::core {

class Counter {
 public:
  void add(std::uint64_t by = 1) { value_.fetch_add(by, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// One counter for each value of a label. `Label` is an enum class from 0 whose last value is
// kCount.
template <class Label>
class CounterRow {
 public:
  void add(Label label, std::uint64_t by = 1) { row_[static_cast<std::size_t>(label)].add(by); }
  [[nodiscard]] std::uint64_t value(Label label) const {
    return row_[static_cast<std::size_t>(label)].value();
  }

 private:
  std::array<Counter, static_cast<std::size_t>(Label::kCount)> row_;
};

// Durations, counted by size: 100 µs to 10 s, about three steps a decade.
class Histogram {
 public:
  static constexpr std::array<std::int64_t, 16> kBoundsNs{
      100'000,       250'000,       500'000,       1'000'000,     2'500'000,   5'000'000,
      10'000'000,    25'000'000,    50'000'000,    100'000'000,   250'000'000, 500'000'000,
      1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000};

  void observe(std::int64_t ns);

 private:
  friend class MetricsText;
  std::array<std::atomic<std::uint64_t>, kBoundsNs.size() + 1> buckets_{};
  std::atomic<std::uint64_t> sum_ns_{0};
};

// Nanoseconds as seconds, exactly: "0.000150000".
std::string seconds_text(std::uint64_t ns);

class MetricsText {
 public:
  // `prefix` begins every name: "satchel_cascade_".
  explicit MetricsText(std::string_view prefix) : prefix_(prefix) {}

  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // Begins a family; its samples follow.
  MetricsText& counter(std::string_view name, std::string_view help);
  MetricsText& gauge(std::string_view name, std::string_view help);
  MetricsText& sample(Labels labels, std::uint64_t value);
  MetricsText& sample(Labels labels, const std::string& value);
  // A family of one sample without labels.
  MetricsText& counter(std::string_view name, std::string_view help, std::uint64_t value);

  MetricsText& histogram(std::string_view name, std::string_view help, const Histogram& histogram);

  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  void begin(std::string_view name, std::string_view help, std::string_view type);
  void line(std::string_view suffix, Labels labels, const std::string& value);

  const std::string prefix_;
  std::string name_;
  std::string out_;
};

}  // namespace satchel::core
