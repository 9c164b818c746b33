// How long the transcripts take: cold, unchanged, unchanged for a new object as in a new process,
// and after one line was appended. Prints seconds, a line each.
//
//   bench_transcripts [--megabytes N] [--files N] [--seed N] [--rounds N] [--threads N] [--keep
//   DIR]
//
// --keep writes the transcripts to DIR/projects and leaves them there, for other readers to be
// measured on the same bytes.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cascade/disk_transcripts.hpp"
#include "core/clock.hpp"
#include "core/log.hpp"

namespace {

namespace fs = std::filesystem;
using satchel::cascade::DiskTranscripts;
using satchel::cascade::TranscriptAnswer;
using satchel::cascade::TranscriptSettings;
using satchel::cascade::UsageError;

constexpr std::int64_t kNow = 1'795'000'000;
constexpr std::int64_t kSpan = 30 * 86'400;

struct Options {
  std::uint64_t megabytes = 512;
  std::uint64_t files = 200;
  std::uint64_t seed = 1;
  unsigned rounds = 5;
  unsigned threads = 0;
  std::string keep;
};

// Lines as an agent writes them: a question, answers that come in several lines with the same id
// and growing counts, tool results that are named twice, notes without a message.
class Author {
 public:
  explicit Author(std::uint64_t seed) : random_(seed) {}

  // One session of about `bytes`, appended to `file`.
  void write_session(std::ofstream& file, std::uint64_t bytes) {
    session_ = hexadecimal(32);
    second_ = kNow - static_cast<std::int64_t>(random_() % kSpan);
    std::uint64_t written = 0;
    while (written < bytes) {
      line_.clear();
      if (random_() % 12 == 0) {
        note();
      } else if (random_() % 6 == 0) {
        question();
      } else {
        turn();
      }
      written += line_.size();
      file << line_;
    }
  }

  void answer(std::string& out, const std::string& id, const std::string& request,
              std::uint64_t output) {
    begin(out, "assistant");
    out += R"("message":{"id":")" + id +
           R"(","type":"message","role":"assistant","model":"claude-opus-4-5-20260101","content":)"
           R"([{"type":"text","text":")";
    prose(out, 100 + random_() % 1500);
    out += R"("}],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":)" +
           std::to_string(random_() % 20) + R"(,"cache_creation_input_tokens":)" +
           std::to_string(random_() % 5000) + R"(,"cache_read_input_tokens":)" +
           std::to_string(random_() % 150'000) +
           R"(,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":)" +
           std::to_string(random_() % 5000) + R"(},"output_tokens":)" + std::to_string(output) +
           R"(,"service_tier":"standard"}},"requestId":")" + request + '"';
    end(out);
  }

 private:
  std::string hexadecimal(std::size_t digits) {
    std::string text;
    for (std::size_t i = 0; i < digits; ++i) text += "0123456789abcdef"[random_() % 16];
    return text;
  }

  void prose(std::string& out, std::size_t bytes) {
    static constexpr std::string_view kWords[] = {"the ",
                                                  "function ",
                                                  "returns ",
                                                  "std::string ",
                                                  "value",
                                                  "\\n",
                                                  "\\n    ",
                                                  "const ",
                                                  "auto ",
                                                  "if (x > 0) {\\n",
                                                  "}\\n",
                                                  "error: ",
                                                  "\\\"quoted\\\" ",
                                                  "path/to/file.cpp",
                                                  "1234 ",
                                                  "\\t",
                                                  "gr\xc3\xb6\xc3\x9f"
                                                  "er ",
                                                  "test ",
                                                  "and ",
                                                  "of ",
                                                  "import ",
                                                  "--- ",
                                                  "=> ",
                                                  "| "};
    const std::size_t end = out.size() + bytes;
    while (out.size() < end) out += kWords[random_() % std::size(kWords)];
  }

  void begin(std::string& out, const char* type) {
    second_ += static_cast<std::int64_t>(random_() % 30);
    out +=
        R"({"parentUuid":")" + hexadecimal(36) +
        R"(","isSidechain":false,"userType":"external","cwd":"/home/user/project","sessionId":")" +
        session_ + R"(","version":"2.0.76","gitBranch":"main","type":")" + type + R"(",)";
  }

  void end(std::string& out) {
    const std::time_t at = second_;
    std::tm parts{};
    gmtime_r(&at, &parts);
    char text[40];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    out += R"(,"uuid":")" + hexadecimal(36) + R"(","timestamp":")" + text + '.' +
           std::to_string(100 + random_() % 900) + "Z\"}\n";
  }

  void question() {
    begin(line_, "user");
    line_ += R"("message":{"role":"user","content":")";
    prose(line_, 40 + random_() % 600);
    line_ += "\"}";
    end(line_);
  }

  void note() {
    line_ += R"({"type":"file-history-snapshot","messageId":")" + hexadecimal(36) +
             R"(","snapshot":{"trackedFileBackups":{},"timestamp":"2026-11-20T10:30:00.000Z"}})"
             "\n";
  }

  void turn() {
    const std::string id = "msg_01" + hexadecimal(22);
    const std::string request = "req_011" + hexadecimal(21);
    std::uint64_t output = random_() % 10;
    for (unsigned part = 1 + random_() % 3; part > 0; --part) {
      output += random_() % 800;
      answer(line_, id, request, output);
    }
    std::string result;
    prose(result, random_() % 3 == 0 ? random_() % 16'000 : random_() % 2'000);
    begin(line_, "user");
    line_ += R"("message":{"role":"user","content":[{"tool_use_id":"toolu_01)" + hexadecimal(22) +
             R"(","type":"tool_result","content":")" + result +
             R"(","is_error":false}]},"toolUseResult":{"stdout":")" + result +
             R"(","stderr":"","interrupted":false,"isImage":false})";
    end(line_);
  }

  std::mt19937_64 random_;
  std::string session_;
  std::string line_;
  std::int64_t second_ = 0;
};

// The first of the files, to append to.
std::string write_transcripts(const std::string& root, const Options& options) {
  std::mt19937_64 random(options.seed);
  const std::uint64_t total = options.megabytes << 20;
  std::string first;
  // As sizes are: many small ones, a few that hold a tenth of all.
  std::vector<std::uint64_t> sizes(options.files);
  std::uint64_t sum = 0;
  for (std::uint64_t& size : sizes) sum += size = 1 + (1U << random() % 8);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::string workspace = root + "/projects/-home-user-project-" + std::to_string(i % 20);
    fs::create_directories(workspace);
    const std::string path = workspace + "/session-" + std::to_string(i) + ".jsonl";
    if (first.empty()) first = path;
    std::ofstream file(path, std::ios::binary);
    Author(options.seed * 1'000'003 + i).write_session(file, sizes[i] * total / sum);
    if (!file) throw std::runtime_error("cannot write " + path);
  }
  return first;
}

double seconds(const std::function<void()>& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void ask(DiskTranscripts& transcripts) {
  const TranscriptAnswer answer = transcripts.windows({kNow, 0});
  if (answer.error != UsageError::kNone) throw std::runtime_error("the transcripts gave no answer");
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure(const std::string& root, const std::string& first, const Options& options) {
  satchel::core::StderrLog log(satchel::core::LogLevel::kWarn);
  TranscriptSettings settings;
  settings.config_dirs = {root};
  settings.state_dir = root + "/state";
  settings.threads = options.threads;
  const auto open = [&] {
    return std::make_unique<DiskTranscripts>(settings, satchel::core::system_clock(), log);
  };

  // One read of everything, so that the page cache is warm.
  ask(*open());
  std::vector<double> cold, unchanged, anew, appended;
  Author author(options.seed + 99);
  for (unsigned round = 0; round < options.rounds; ++round) {
    fs::remove_all(settings.state_dir);
    {
      std::unique_ptr<DiskTranscripts> transcripts;
      cold.push_back(seconds([&] {
        transcripts = open();
        ask(*transcripts);
      }));
      for (int i = 0; i < 5; ++i) unchanged.push_back(seconds([&] { ask(*transcripts); }));
      std::string line;
      author.answer(line, "msg_appended_" + std::to_string(round), "req_appended", 5);
      std::ofstream(first, std::ios::binary | std::ios::app) << line;
      appended.push_back(seconds([&] { ask(*transcripts); }));
    }
    for (int i = 0; i < 5; ++i) {
      std::unique_ptr<DiskTranscripts> transcripts;
      anew.push_back(seconds([&] {
        transcripts = open();
        ask(*transcripts);
      }));
    }
  }
  std::printf("cold        %.6f\n", median(cold));
  std::printf("unchanged   %.6f\n", median(unchanged));
  std::printf("new object  %.6f\n", median(anew));
  std::printf("one line    %.6f\n", median(appended));
}

Options options_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--quick") {
      options.megabytes = 64;
      options.rounds = 3;
      continue;
    }
    if (i + 1 == argc) throw std::runtime_error("a value is missing behind " + name);
    const std::string value = argv[++i];
    if (name == "--megabytes") {
      options.megabytes = std::stoull(value);
    } else if (name == "--files") {
      options.files = std::max<std::uint64_t>(1, std::stoull(value));
    } else if (name == "--seed") {
      options.seed = std::stoull(value);
    } else if (name == "--rounds") {
      options.rounds = std::max(1U, static_cast<unsigned>(std::stoul(value)));
    } else if (name == "--threads") {
      options.threads = static_cast<unsigned>(std::stoul(value));
    } else if (name == "--keep") {
      options.keep = value;
    } else {
      throw std::runtime_error("unknown option " + name);
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = options_of(argc, argv);
    std::string root = options.keep;
    if (root.empty()) {
      root = fs::temp_directory_path() / "satchel-bench-XXXXXX";
      if (mkdtemp(root.data()) == nullptr) throw std::runtime_error("cannot make " + root);
    }
    measure(root, write_transcripts(root, options), options);
    if (options.keep.empty()) fs::remove_all(root);
    return EXIT_SUCCESS;
  } catch (const std::exception& failure) {
    std::cerr << "bench_transcripts: " << failure.what() << '\n';
    return EXIT_FAILURE;
  }
}
