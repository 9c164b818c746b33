// What the response filters cost, against the limits of the design.
//
//   bench_sse [--quick]
//
// Prints rows `name  target  figure  verdict`. A frame's figure is the time a host spends on
// passing it through the filter and copying what comes out, less the time of copying the frame
// alone; the median of many batches, one of each kind in turn, so that both see the same machine.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "prompt_cache/response_filter.hpp"

namespace {

using satchel::prompt_cache::make_json_filter;
using satchel::prompt_cache::make_sse_filter;
using satchel::prompt_cache::UsageEdit;
using satchel::prompt_cache::UsageJudge;

class Injecting final : public UsageJudge {
 public:
  UsageEdit judge(bool /*terminal*/) override {
    return {UsageEdit::Kind::kInject, {3000, 500, 0, 0}};
  }
};

double now_ns() {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                 std::chrono::steady_clock::now().time_since_epoch())
                                 .count());
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The sink of a host: what it would hand to its socket.
class Sink {
 public:
  explicit Sink(std::size_t size) : bytes_(size) {}
  void copy(std::string_view from) {
    std::memcpy(bytes_.data(), from.data(), from.size());
    asm volatile("" : : "r"(bytes_.data()) : "memory");  // the copy is not optimised away
  }

 private:
  std::vector<char> bytes_;
};

std::string_view checked(satchel::core::Result<std::string_view> out) {
  if (out) return *out;
  std::fprintf(stderr, "bench_sse: %s\n", out.error().message.c_str());
  std::exit(1);
}

// Nanoseconds above copying, for one call of `filtered` against one of `copied`.
template <class Filtered, class Copied>
double above(int batches, int batch, Filtered filtered, Copied copied) {
  std::vector<double> differences;
  for (int i = 0; i < batches; ++i) {
    const double t0 = now_ns();
    for (int n = 0; n < batch; ++n) filtered();
    const double t1 = now_ns();
    for (int n = 0; n < batch; ++n) copied();
    const double t2 = now_ns();
    differences.push_back(((t1 - t0) - (t2 - t1)) / batch);
  }
  return median(std::move(differences));
}

std::string frame(std::string_view content, std::string_view last_member) {
  std::string out =
      "data: "
      "{\"id\":\"chatcmpl-BsRk2pXq8mQ1tVwYzA3dEfGhIjKlM\",\"object\":\"chat.completion.chunk\","
      "\"created\":1763712000,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\","
      "\"system_fingerprint\":\"fp_560af6e559\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
      "\"";
  out.append(content).append("\"},\"logprobs\":null,\"finish_reason\":null}]");
  out.append(last_member).append("}\n\n");
  return out;
}

struct Case {
  const char* name;
  std::string frame;
  double limit_ns;  // 0: no limit, a figure for comparison
  std::size_t cut;  // every frame comes in two chunks, cut here; 0: whole
};

void print(const std::string& name, double limit, double figure, const char* unit) {
  if (limit > 0) {
    std::printf("%-54s <= %5.0f %-10s %9.1f %-10s %s\n", name.c_str(), limit, unit, figure, unit,
                figure <= limit ? "ok" : "MISSED");
  } else {
    std::printf("%-54s %-19s %9.1f %-10s\n", name.c_str(), "-", figure, unit);
  }
}

double frame_cost(const Case& c, int batches) {
  Injecting judge;
  auto filter = make_sse_filter(judge, {});
  Sink sink(c.frame.size() * 4);
  const std::string_view bytes = c.frame;
  return above(
      batches, 2000,
      [&] {
        if (c.cut > 0) sink.copy(checked(filter->write(bytes.substr(0, c.cut))));
        sink.copy(checked(filter->write(bytes.substr(c.cut))));
      },
      [&] { sink.copy(bytes); });
}

// A network read that gathered 64 frames: frames a second, filter and copy.
double frames_per_second(const std::string& one, int batches) {
  std::string chunk;
  for (int i = 0; i < 64; ++i) chunk += one;
  Injecting judge;
  auto filter = make_sse_filter(judge, {});
  Sink sink(chunk.size() * 2);
  std::vector<double> times;
  for (int i = 0; i < batches; ++i) {
    const double start = now_ns();
    for (int n = 0; n < 50; ++n) sink.copy(checked(filter->write(chunk)));
    times.push_back((now_ns() - start) / (50 * 64));
  }
  return 1e9 / median(std::move(times));
}

// A whole JSON response of 4 KB, its usage injected: filter made, fed, ended.
double json_cost(int batches) {
  std::string body =
      "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1763712000,"
      "\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
      "\"content\":\"";
  while (body.size() < 3700) body += "The quick brown fox\\njumps over the lazy dog. ";
  body +=
      "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":"
      "{\"prompt_tokens\":4000,\"completion_tokens\":900,\"total_tokens\":4900,"
      "\"prompt_tokens_details\":{\"cached_tokens\":1024,\"audio_tokens\":0},"
      "\"completion_tokens_details\":{\"reasoning_tokens\":0}}}";
  Injecting judge;
  Sink sink(body.size() * 2);
  return above(
      batches, 300,
      [&] {
        auto filter = make_json_filter(judge, {});
        sink.copy(checked(filter->write(body)));
        sink.copy(checked(filter->end()));
      },
      [&] { sink.copy(body); });
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::string_view(argv[1]) == "--quick";
  if (argc > 2 || (argc == 2 && !quick)) {
    std::fprintf(stderr, "usage: bench_sse [--quick]\n");
    return 2;
  }
  const int batches = quick ? 21 : 201;

  const std::string_view usage =
      ",\"usage\":{\"prompt_tokens\":4000,\"completion_tokens\":7,\"total_tokens\":4007}";
  const std::string null_usage = frame("Hello there", ",\"usage\":null");
  const std::vector<Case> cases = {
      {"SSE frame", frame("Hello there", ""), 1000, 0},
      {"SSE frame, \"usage\":null", null_usage, 1000, 0},
      {"SSE frame, text as \\u escapes", frame("\\u4f60\\u597d\\uff0c\\u4e16\\u754c", ""), 1000, 0},
      {"SSE frame, letters as \\u escapes (parsed)", frame("\\u0068\\u0065y", ""), 1000, 0},
      {"SSE frame, \"usage\":null, in two chunks", null_usage, 1000, 100},
      {"SSE frame, 4 KB of content", frame(std::string(4096, 'x'), ",\"usage\":null"), 1000, 0},
      {"SSE frame with usage, edited", frame("Hello there", usage), 0, 0},
  };
  std::printf("%-54s %-19s %s\n", "name", "target", "figure");
  for (const Case& c : cases) {
    const std::string name = std::string(c.name) + ", " + std::to_string(c.frame.size()) + " B";
    print(name, c.limit_ns, frame_cost(c, batches), "ns");
  }
  print("SSE frames, 64 a chunk", 0, frames_per_second(null_usage, batches) / 1e6, "M/s");
  print("JSON response of 4 KB, edited", 0, json_cost(batches) / 1000, "us");
  return 0;
}
