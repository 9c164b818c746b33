#include "core/metrics.hpp"

#include <algorithm>

namespace satchel::core {
namespace {

void append_label_value(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '\\' || c == '"') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

}  // namespace

void Histogram::observe(std::int64_t ns) {
  const auto bucket = std::lower_bound(kBoundsNs.begin(), kBoundsNs.end(), ns);
  buckets_[static_cast<std::size_t>(bucket - kBoundsNs.begin())].fetch_add(
      1, std::memory_order_relaxed);
  sum_ns_.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0)),
                    std::memory_order_relaxed);
}

std::string seconds_text(std::uint64_t ns) {
  std::string fraction = std::to_string(ns % 1'000'000'000);
  fraction.insert(0, 9 - fraction.size(), '0');
  return std::to_string(ns / 1'000'000'000) + "." + fraction;
}

void MetricsText::begin(std::string_view name, std::string_view help, std::string_view type) {
  name_ = prefix_;
  name_ += name;
  out_.append("# HELP ").append(name_).append(" ").append(help).append("\n");
  out_.append("# TYPE ").append(name_).append(" ").append(type).append("\n");
}

void MetricsText::line(std::string_view suffix, Labels labels, const std::string& value) {
  out_.append(name_).append(suffix);
  char before = '{';
  for (const auto& [label, text] : labels) {
    out_ += before;
    out_.append(label).append("=\"");
    append_label_value(out_, text);
    out_ += '"';
    before = ',';
  }
  if (before == ',') out_ += '}';
  out_.append(" ").append(value).append("\n");
}

MetricsText& MetricsText::counter(std::string_view name, std::string_view help) {
  begin(name, help, "counter");
  return *this;
}

MetricsText& MetricsText::gauge(std::string_view name, std::string_view help) {
  begin(name, help, "gauge");
  return *this;
}

MetricsText& MetricsText::sample(Labels labels, std::uint64_t value) {
  return sample(labels, std::to_string(value));
}

MetricsText& MetricsText::sample(Labels labels, const std::string& value) {
  line("", labels, value);
  return *this;
}

MetricsText& MetricsText::counter(std::string_view name, std::string_view help,
                                  std::uint64_t value) {
  return counter(name, help).sample({}, value);
}

MetricsText& MetricsText::histogram(std::string_view name, std::string_view help,
                                    const Histogram& histogram) {
  begin(name, help, "histogram");
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < histogram.buckets_.size(); ++i) {
    count += histogram.buckets_[i].load(std::memory_order_relaxed);
    std::string bound = "+Inf";
    if (i < Histogram::kBoundsNs.size()) {
      bound = seconds_text(static_cast<std::uint64_t>(Histogram::kBoundsNs[i]));
      bound.erase(bound.find_last_not_of('0') + 1);
      if (bound.back() == '.') bound += '0';
    }
    line("_bucket", {{"le", bound}}, std::to_string(count));
  }
  line("_sum", {}, seconds_text(histogram.sum_ns_.load(std::memory_order_relaxed)));
  line("_count", {}, std::to_string(count));
  return *this;
}

}  // namespace satchel::core
