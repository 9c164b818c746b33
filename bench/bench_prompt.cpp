// What a request's body costs: parse, hash, validate and make the body to forward, against SHA-256
// over the same bytes, which no implementation can do without.
//
//   bench_prompt [--quick]
//
// Prints rows `name  target  figure  verdict`. Both are timed in turn, so that they see the same
// machine; a figure is the ratio of the medians. Also what one body in flight costs in memory.

#include <time.h>  // NOLINT(modernize-deprecated-headers): POSIX
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "core/sha256.hpp"
#include "prompt_cache/config.hpp"
#include "prompt_cache/prompt_cache.hpp"
#include "prompt_cache/request.hpp"

namespace {

using satchel::prompt_cache::Forward;
using satchel::prompt_cache::PromptCache;
using satchel::prompt_cache::Request;

struct Sample {
  const char* file;
  const char* name;
  double limit;  // times SHA-256; 0 where the design names none
};

constexpr Sample kSamples[] = {{"agent_request_61k.json.gz", "body of 61 KB", 0},
                               {"agent_request_369k.json.gz", "body of 369 KB", 2.0},
                               {"agent_request_2300k.json.gz", "body of 2.3 MB", 2.0}};

std::string read_sample(const char* file) {
  const std::string path = std::string(SATCHEL_BENCH_DIR) + "/samples/" + file;
  const gzFile input = gzopen(path.c_str(), "rb");
  if (input == nullptr) {
    std::fprintf(stderr, "bench_prompt: cannot read %s\n", path.c_str());
    std::exit(1);
  }
  std::string text;
  std::vector<char> chunk(1 << 16);
  for (;;) {
    const int got = gzread(input, chunk.data(), static_cast<unsigned>(chunk.size()));
    if (got <= 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  gzclose(input);
  return text;
}

// The thread's own time: the work never waits, and what the machine does meanwhile is no part of
// it.
double thread_microseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

double microseconds(const std::function<void()>& work) {
  const double start = thread_microseconds();
  work();
  return thread_microseconds() - start;
}

double median(std::vector<double>& figures) {
  std::sort(figures.begin(), figures.end());
  return figures[figures.size() / 2];
}

// One request up to the moment at which its body can go upstream, and its end.
void take_body(const std::shared_ptr<PromptCache>& cache, std::string_view body) {
  Request request(cache, "/v1/chat/completions", {}, "sk-benchmark");
  const auto forward = request.body(body);
  if (!forward || forward->kind != Forward::Kind::kSend || !forward->body_changed) {
    std::fprintf(stderr, "bench_prompt: the sample was not forwarded\n");
    std::exit(1);
  }
}

void measure(const std::shared_ptr<PromptCache>& cache, const Sample& sample, int rounds) {
  const std::string body = read_sample(sample.file);
  satchel::core::Sha256 hash;
  std::vector<double> ours;
  std::vector<double> limits;
  for (int i = 0; i < rounds; ++i) {
    ours.push_back(microseconds([&] { take_body(cache, body); }));
    limits.push_back(microseconds([&] {
      hash.reset();
      hash.update(body);
      const auto digest = hash.digest();
      (void)digest;
    }));
  }
  const double ratio = median(ours) / median(limits);
  const std::string name = std::string(sample.name) + ", times SHA-256 of it";
  if (sample.limit > 0) {
    std::printf("%-54s <= %5.1f %-10s %9.2f %-10s %s\n", name.c_str(), sample.limit, "x", ratio,
                "x", ratio <= sample.limit ? "ok" : "over");
  } else {
    std::printf("%-54s %-19s %9.2f %-10s\n", name.c_str(), "-", ratio, "x");
  }
  std::printf("%-54s %-19s %9.1f %-10s\n", "  the same", "-", median(ours), "us");
  std::printf("%-54s %-19s %9.1f %-10s\n", "  SHA-256", "-", median(limits), "us");
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc == 2 && std::strcmp(argv[1], "--quick") == 0;
  if (argc > 2 || (argc == 2 && !quick)) {
    std::fprintf(stderr, "usage: bench_prompt [--quick]\n");
    return 2;
  }
  satchel::core::StderrLog log(satchel::core::LogLevel::kWarn);
  const auto cache = std::make_shared<PromptCache>(satchel::prompt_cache::Config{},
                                                   satchel::prompt_cache::ClassifierParts{},
                                                   nullptr, satchel::core::system_clock(), log);
  std::printf("%-54s %-19s %s\n", "name", "target", "figure");
  for (const Sample& sample : kSamples) measure(cache, sample, quick ? 21 : 401);
  return 0;
}
