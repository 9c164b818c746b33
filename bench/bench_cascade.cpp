// The cascade, timed from outside the library and inside one process: the half of bench_cascade.py
// that must not have Python in its figures.
//
// One command a line on standard input, its words parted by tabs; one answer a line on standard
// output, "min_ns median_ns number" or "error: ...":
//   open CACHE_DIR CONFIG_DIR CONFIG   closes what was open
//   fresh TIMES                        a resolve and its summary; number: the last one's source
//   first CACHE_DIR CONFIG TIMES       the same by a cascade opened just for it, opening included
//   observe TIMES                      the headers of an answer
//   transcripts                        one resolve; number: the input tokens of seven days

#include <satchel/satchel.h>

#include <array>
#include <cstdint>
#include <string>

#include "commands.hpp"

namespace {

class Driver {
 public:
  Driver() { require_ok(satchel_open(nullptr, nullptr, 0, &library_, &error_), error_, "open"); }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  ~Driver() {
    satchel_cascade_close(&cascade_);
    satchel_close(&library_);
  }

  Figures open(const Words& words) {
    satchel_cascade_close(&cascade_);
    cascade_ = opened(words.at(1), words.at(2), words.at(3));
    return {{0}, 0};
  }

  Figures fresh(const Words& words) {
    Figures figures;
    satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
    for (int left = std::stoi(words.at(1)); left > 0; --left) {
      const std::int64_t start = now_ns();
      summary = resolved(cascade_);
      figures.took.push_back(now_ns() - start);
    }
    figures.number = static_cast<std::uint64_t>(summary.source);
    return figures;
  }

  Figures first(const Words& words) {
    Figures figures;
    for (int left = std::stoi(words.at(3)); left > 0; --left) {
      const std::int64_t start = now_ns();
      satchel_cascade* cascade = opened(words.at(1), words.at(1), words.at(2));
      figures.number = static_cast<std::uint64_t>(resolved(cascade).source);
      satchel_cascade_close(&cascade);
      figures.took.push_back(now_ns() - start);
    }
    return figures;
  }

  Figures observe(const Words& words) {
    const std::array<satchel_http_header, 6> headers = {{
        {view("content-type"), view("text/event-stream")},
        {view("request-id"), view("req_011CYqaB5Btywh4eqCRqguF1")},
        {view("anthropic-ratelimit-unified-status"), view("allowed")},
        {view("anthropic-ratelimit-unified-5h-utilization"), view("0.07")},
        {view("anthropic-ratelimit-unified-7d-utilization"), view("0.22")},
        {view("anthropic-ratelimit-unified-representative-claim"), view("five_hour")},
    }};
    Figures figures;
    for (int left = std::stoi(words.at(1)); left > 0; --left) {
      const std::int64_t start = now_ns();
      const satchel_status status =
          satchel_cascade_observe(cascade_, headers.data(), headers.size(), &error_);
      figures.took.push_back(now_ns() - start);
      require_ok(status, error_, "observe");
    }
    return figures;
  }

  Figures transcripts(const Words& /*words*/) {
    const std::int64_t start = now_ns();
    const satchel_usage_summary summary = resolved(cascade_);
    const std::int64_t took = now_ns() - start;
    if (summary.source != SATCHEL_USAGE_JSONL) throw Failure("the transcripts did not answer");
    return {{took}, summary.seven_day_tokens.input};
  }

 private:
  satchel_cascade* opened(const std::string& cache_dir, const std::string& config_dir,
                          const std::string& config) {
    const satchel_view dir = view(config_dir);
    satchel_cascade_parts parts = SATCHEL_CASCADE_PARTS_INIT;
    parts.cache_dir = view(cache_dir);
    parts.config_dirs = &dir;
    parts.config_dir_count = 1;
    satchel_cascade* cascade = nullptr;
    require_ok(
        satchel_cascade_open(library_, &parts, config.data(), config.size(), &cascade, &error_),
        error_, "open");
    return cascade;
  }

  satchel_usage_summary resolved(satchel_cascade* cascade) {
    satchel_usage* usage = nullptr;
    satchel_usage_summary summary = SATCHEL_USAGE_SUMMARY_INIT;
    satchel_status status = satchel_cascade_resolve(cascade, &usage, &error_);
    if (status == SATCHEL_OK) status = satchel_usage_summary_get(usage, &summary, &error_);
    satchel_usage_free(&usage);
    require_ok(status, error_, "resolve");
    return summary;
  }

  satchel_error error_ = SATCHEL_ERROR_INIT;
  satchel_library* library_ = nullptr;
  satchel_cascade* cascade_ = nullptr;
};

const Commands<Driver> kCommands = {
    {"open", &Driver::open},
    {"fresh", &Driver::fresh},
    {"first", &Driver::first},
    {"observe", &Driver::observe},
    {"transcripts", &Driver::transcripts},
};

}  // namespace

int main() { return answer_all("bench_cascade", kCommands); }
