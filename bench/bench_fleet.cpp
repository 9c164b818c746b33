// One process of the fleet that bench_fleet.py drives: conversations at a steady rate, whole
// requests through the C ABI, each with its classification beside a pretended upstream.
//
//   bench_fleet CONFIG RATE SECONDS SEED
//
// CONFIG is satchel_prompt_cache_open's. Requests begin when they are due, whether or not those
// before them have ended; what is late is measured from when it was due. Prints one line of JSON.
#include <satchel/satchel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using Steady = std::chrono::steady_clock;

constexpr int kThreads = 32;
constexpr int kConversations = 400;
constexpr std::size_t kPrincipals = 50;
constexpr std::size_t kMostTurns = 12;
constexpr auto kUpstream = std::chrono::milliseconds(30);
constexpr std::uint32_t kFlushMs = 60'000;

void require(satchel_status status, const satchel_error& error, const char* doing) {
  if (status >= 0) return;
  std::fprintf(stderr, "bench_fleet: %s: %s %s\n", doing, satchel_status_name(status),
               error.message);
  std::exit(1);
}

satchel_view view_of(const std::string& text) { return {text.data(), text.size()}; }

// Some KB a block, another one for every seed.
std::string block_text(std::uint64_t seed, std::size_t bytes) {
  std::minstd_rand random(static_cast<std::uint32_t>(seed * 2654435761U + 1));
  std::string text;
  while (text.size() < bytes) text += std::to_string(random()) + " is what was read there. ";
  text.resize(bytes);
  return text;
}

std::string message(const char* role, const std::string& text, const char* ttl) {
  std::string out =
      std::string(R"({"role":")") + role + R"(","content":[{"type":"text","text":")" + text + '"';
  if (ttl != nullptr) {
    out += std::string(R"(,"cache_control":{"type":"ephemeral","ttl":")") + ttl + "\"}";
  }
  return out + "}]}";
}

// A system prompt that a customer's conversations share, and turns of which the last is marked.
std::string body_of(std::uint64_t conversation, std::size_t turns) {
  std::string body = R"({"model":"m-1","stream":true,"messages":[)" +
                     message("system", block_text(conversation % kPrincipals, 8000), "1h");
  for (std::size_t turn = 0; turn < turns; ++turn) {
    const bool last = turn + 1 == turns;
    body += ',' + message(turn % 2 == 0 ? "user" : "assistant",
                          block_text(conversation * 1000 + turn + 1'000'000, 1500),
                          last ? "5m" : nullptr);
  }
  return body + "]}";
}

struct Conversation {
  std::mutex mutex;  // one request of it at a time
  std::uint64_t number = 0;
  std::size_t turns = 1;
};

struct Figures {
  std::vector<double> in_calls_us;  // the library's own time on the request's way
  std::vector<double> waited_us;    // for the frame with the usage, beyond the upstream's time
  std::uint64_t read_tokens = 0;
  std::uint64_t created_tokens = 0;
  std::uint64_t hits = 0;
  std::uint64_t uncached = 0;
};

double us_since(Steady::time_point start) {
  return std::chrono::duration<double, std::micro>(Steady::now() - start).count();
}

void run_request(satchel_prompt_cache* cache, const std::string& principal, const std::string& body,
                 Figures& figures) {
  static const std::string kAnswer = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
  static const std::string kUsage =
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000000,\"completion_tokens\":5}}\n\n"
      "data: [DONE]\n\n";
  static const std::string kMethod = "POST";
  static const std::string kTarget = "/v1/chat/completions";
  static const std::string kType = "text/event-stream";
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_request_head head = SATCHEL_REQUEST_HEAD_INIT;
  head.method = view_of(kMethod);
  head.target = view_of(kTarget);
  head.principal = view_of(principal);
  satchel_request* request = nullptr;
  satchel_forward forward = SATCHEL_FORWARD_INIT;
  satchel_view out = {nullptr, 0};
  std::int32_t plan = 0;

  const Steady::time_point began = Steady::now();
  require(satchel_request_new(cache, &head, &request, &error), error, "new");
  require(satchel_request_body(request, body.data(), body.size(), &forward, &error), error, "body");
  require(satchel_request_classify_start(request, nullptr, nullptr, &error), error, "classify");
  double in_calls = us_since(began);
  std::this_thread::sleep_for(kUpstream);
  const Steady::time_point answered = Steady::now();
  require(
      satchel_request_response(request, 200, kType.data(), kType.size(), nullptr, 0, &plan, &error),
      error, "response");
  require(satchel_request_write(request, kAnswer.data(), kAnswer.size(), &out, &error), error,
          "write");
  in_calls += us_since(answered);
  const Steady::time_point usage = Steady::now();
  require(satchel_request_write(request, kUsage.data(), kUsage.size(), &out, &error), error,
          "write");
  require(satchel_request_end(request, &out, &error), error, "end");
  figures.waited_us.push_back(us_since(usage));
  figures.in_calls_us.push_back(in_calls);
  satchel_request_result result = SATCHEL_REQUEST_RESULT_INIT;
  require(satchel_request_result_get(request, &result, &error), error, "result");
  require(satchel_request_free(&request), error, "free");
  figures.read_tokens += result.read;
  figures.created_tokens += result.creation_5m + result.creation_1h;
  figures.hits += result.read > 0 ? 1 : 0;
  figures.uncached += result.active == 0 || result.degraded != 0 ? 1 : 0;
}

double percentile(std::vector<double>& values, double part) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::size_t>(part * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

class Load {
 public:
  Load(satchel_prompt_cache* cache, double rate, double seconds, std::uint64_t seed)
      : cache_(cache),
        interval_(std::chrono::duration<double>(1 / rate)),
        total_(static_cast<std::uint64_t>(rate * seconds)),
        seed_(seed),
        conversations_(kConversations) {
    for (std::size_t i = 0; i < conversations_.size(); ++i) {
      conversations_[i].number = seed * kConversations + i;
    }
  }

  void run() {
    began_ = Steady::now();
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back([this] { work(); });
    for (std::thread& thread : threads) thread.join();
    took_s_ = std::chrono::duration<double>(Steady::now() - began_).count();
  }

  void print() {
    std::printf(
        R"({"requests":%llu,"seconds":%.3f,"late_us_p99":%.1f,"in_calls_us_p50":%.1f,)"
        R"("in_calls_us_p99":%.1f,"waited_us_p50":%.1f,"waited_us_p99":%.1f,"read_tokens":%llu,)"
        R"("created_tokens":%llu,"hits":%llu,"uncached":%llu})"
        "\n",
        static_cast<unsigned long long>(all_.in_calls_us.size()), took_s_, percentile(late_, 0.99),
        percentile(all_.in_calls_us, 0.5), percentile(all_.in_calls_us, 0.99),
        percentile(all_.waited_us, 0.5), percentile(all_.waited_us, 0.99),
        static_cast<unsigned long long>(all_.read_tokens),
        static_cast<unsigned long long>(all_.created_tokens),
        static_cast<unsigned long long>(all_.hits), static_cast<unsigned long long>(all_.uncached));
  }

 private:
  void work() {
    Figures figures;
    std::vector<double> late;
    for (;;) {
      const std::uint64_t number = next_.fetch_add(1);
      if (number >= total_) break;
      const Steady::time_point due =
          began_ + std::chrono::duration_cast<Steady::duration>(interval_ * number);
      std::this_thread::sleep_until(due);
      late.push_back(us_since(due));
      converse(number, figures);
    }
    const std::lock_guard lock(mutex_);
    const auto add = [](std::vector<double>& to, const std::vector<double>& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    add(all_.in_calls_us, figures.in_calls_us);
    add(all_.waited_us, figures.waited_us);
    add(late_, late);
    all_.read_tokens += figures.read_tokens;
    all_.created_tokens += figures.created_tokens;
    all_.hits += figures.hits;
    all_.uncached += figures.uncached;
  }

  void converse(std::uint64_t number, Figures& figures) {
    std::minstd_rand random(static_cast<std::uint32_t>(seed_ * 7919 + number + 1));
    Conversation& conversation = conversations_[random() % conversations_.size()];
    std::uint64_t which = 0;
    std::size_t turns = 0;
    {
      const std::lock_guard lock(conversation.mutex);
      which = conversation.number;
      turns = conversation.turns++;
      if (conversation.turns > kMostTurns) {
        conversation.number += 1'000'000;
        conversation.turns = 1;
      }
    }
    run_request(cache_, "customer-" + std::to_string(which % kPrincipals), body_of(which, turns),
                figures);
  }

  satchel_prompt_cache* const cache_;
  const std::chrono::duration<double> interval_;
  const std::uint64_t total_;
  const std::uint64_t seed_;
  std::vector<Conversation> conversations_;
  std::atomic<std::uint64_t> next_{0};
  Steady::time_point began_;
  double took_s_ = 0;
  std::mutex mutex_;
  Figures all_;
  std::vector<double> late_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: bench_fleet CONFIG RATE SECONDS SEED\n");
    return 2;
  }
  const std::string config = argv[1];
  satchel_error error = SATCHEL_ERROR_INIT;
  satchel_library* library = nullptr;
  satchel_prompt_cache* cache = nullptr;
  require(satchel_open(nullptr, nullptr, 0, &library, &error), error, "open");
  require(satchel_prompt_cache_open(library, nullptr, config.data(), config.size(), &cache, &error),
          error, "open the prompt cache");
  Load load(cache, std::atof(argv[2]), std::atof(argv[3]),
            static_cast<std::uint64_t>(std::atoll(argv[4])));
  load.run();
  require(satchel_prompt_cache_flush(cache, kFlushMs, &error), error, "flush");
  load.print();
  require(satchel_prompt_cache_close(&cache), error, "close the prompt cache");
  require(satchel_close(&library), error, "close");
  return 0;
}
