// Random things happen to files; after each the index, which reads as little as it can, gives what
// a reader gives that begins from nothing.
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <tuple>
#include <vector>

#include "cascade/transcript_line.hpp"
#include "transcript_fixture.hpp"

namespace satchel::cascade {
namespace {

struct Entry {
  core::Timestamp time;
  std::optional<MessageTokens> usage;
  std::string model;
};

// Every line that counts, as the rules say it.
std::vector<Entry> entries_of(const std::string& root, TranscriptSettings::Dedup dedup) {
  std::vector<std::string> paths;
  if (std::filesystem::exists(root)) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      if (entry.is_regular_file() && entry.path().extension() == ".jsonl") {
        paths.push_back(entry.path());
      }
    }
  }
  std::sort(paths.begin(), paths.end());

  std::vector<Entry> entries;
  std::map<std::pair<std::string, std::string>, std::size_t> by_key;
  TranscriptLineReader reader;
  for (const std::string& path : paths) {
    std::ifstream file(path, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const std::size_t size = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
    text.resize(size + kTranscriptPadding);
    const char* const end = text.data() + size;
    for (const char* at = text.data(); at < end;) {
      const TranscriptLine* const line = reader.read(at, end);
      if (line == nullptr) continue;
      const Entry entry{line->time, line->usage, std::string(line->model.value_or("-"))};
      if (!line->id) {
        entries.push_back(entry);
        continue;
      }
      const bool complete = dedup == TranscriptSettings::Dedup::kComplete;
      const std::string request =
          complete && line->request_id ? "=" + std::string(*line->request_id) : "";
      const auto [known, added] =
          by_key.try_emplace({std::string(*line->id), request}, entries.size());
      if (added) {
        entries.push_back(entry);
        continue;
      }
      Entry& other = entries[known->second];
      const auto weight = [](const Entry& e) {
        return std::pair(e.usage.has_value(), e.usage ? e.usage->output : 0);
      };
      if (complete && weight(entry) >= weight(other)) other = entry;
    }
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.time < b.time; });
  return entries;
}

TranscriptAnswer answer_of(const std::vector<Entry>& entries, core::Timestamp now) {
  TranscriptAnswer answer;
  if (entries.empty()) {
    answer.error = UsageError::kNoEntries;
    return answer;
  }
  core::Timestamp last;
  core::Timestamp start;
  TokenCounts block;
  bool first = true;
  for (const Entry& entry : entries) {
    const core::Timestamp limit{last.seconds + 5 * 3600, last.nanos};
    if (first || entry.time > limit) {
      start = {floor_to(entry.time.seconds, 3600), 0};
      block = {};
    }
    first = false;
    last = entry.time;
    if (!entry.usage) continue;
    const TokenCounts counts{entry.usage->input, entry.usage->output, entry.usage->cache_creation,
                             entry.usage->cache_read};
    block += counts;
    const core::Timestamp from{now.seconds - 7 * 86'400, now.nanos};
    if (entry.time >= from && entry.time <= now) answer.windows.seven_day += counts;
  }
  const core::Timestamp limit{last.seconds + 5 * 3600, last.nanos};
  if (now <= limit) answer.windows.five_hour = {start, block};
  return answer;
}

std::string text_of(const TranscriptAnswer& answer) {
  const auto counts = [](const TokenCounts& c) {
    return std::to_string(c.input) + '/' + std::to_string(c.output) + '/' +
           std::to_string(c.cache_creation) + '/' + std::to_string(c.cache_read);
  };
  std::string text = std::to_string(static_cast<int>(answer.error));
  if (answer.error != UsageError::kNone) return text;
  text += " week " + counts(answer.windows.seven_day);
  if (answer.windows.five_hour) {
    text += " block " + core::format_timestamp(answer.windows.five_hour->start) + ' ' +
            counts(answer.windows.five_hour->tokens);
  }
  return text;
}

using Parameters = std::tuple<unsigned, TranscriptSettings::Dedup, bool>;

class DiskTranscriptsRandomTest : public TranscriptFixture,
                                  public ::testing::WithParamInterface<Parameters> {
 protected:
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

  core::Timestamp some_time() {
    // Close to the edges of blocks, windows and buckets as often as far from them.
    static constexpr std::int64_t kEdges[] = {-7 * 86'400, -5 * 3600, -10 * 3600, 0, -900, -86'400};
    core::Timestamp time = after(kNow, kEdges[pick(std::size(kEdges))]);
    time.seconds += static_cast<std::int64_t>(pick(5)) - 2;
    if (pick(2) == 0) time.seconds -= static_cast<std::int64_t>(pick(9 * 86'400));
    if (pick(3) == 0) time.nanos = static_cast<std::int32_t>(pick(1'000'000'000));
    return time;
  }

  std::string some_line() {
    switch (pick(12)) {
      case 0:
        return "no line\n";
      case 1:
        return "{" + at(some_time()) + R"(,"message":{}})" + "\r\n";
      case 2:
        return "\n";
      default:
        break;
    }
    Message message;
    if (pick(5) != 0) message.id = "id" + std::to_string(pick(12));
    if (pick(3) == 0) message.request = "request" + std::to_string(pick(2));
    message.model = "model" + std::to_string(pick(3));
    message.usage = pick(6) != 0;
    message.tokens = {pick(1000), pick(4), pick(100), pick(10), pick(100)};
    if (pick(60) == 0) message.tokens.cache_read = ~std::uint64_t{0} - pick(3);
    return line_of(some_time(), message);
  }
  std::string some_lines() {
    std::string lines;
    for (std::uint64_t left = pick(6); left > 0; --left) lines += some_line();
    return lines;
  }
  std::string some_name() {
    static const char* const kNames[] = {"a/1.jsonl",   "a/2.jsonl", "b/1.jsonl",   "c/1.jsonl",
                                         "c/s/1.jsonl", "top.jsonl", "a/other.txt", "b/2.jsonl"};
    return kNames[pick(std::size(kNames))];
  }

  void something() {
    const std::string name = some_name();
    const std::string full = path(name);
    const bool there = std::filesystem::exists(full);
    switch (pick(10)) {
      case 0:
        write(name, some_lines());
        break;
      case 1:
        if (there) std::filesystem::remove(full);
        break;
      case 2:  // cut short, anywhere
        if (there) std::filesystem::resize_file(full, pick(std::filesystem::file_size(full) + 1));
        break;
      case 3:  // renamed over
        write("new", some_lines());
        std::filesystem::create_directories(std::filesystem::path(full).parent_path());
        std::filesystem::rename(path("new"), full);
        break;
      case 4: {  // moved
        const std::string other = path(some_name());
        if (there && std::filesystem::exists(std::filesystem::path(other).parent_path())) {
          std::filesystem::rename(full, other);
        }
        break;
      }
      case 5: {  // written in place, of the same size
        if (!there || std::filesystem::file_size(full) == 0) break;
        std::fstream file(full, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(pick(std::filesystem::file_size(full))));
        file << "0123456789\n"[pick(11)];
        break;
      }
      case 6: {  // a line in two parts
        const std::string line = some_line();
        if (std::filesystem::exists(std::filesystem::path(full).parent_path())) {
          append(name, line.substr(0, pick(line.size())));
        }
        break;
      }
      default:
        if (std::filesystem::exists(std::filesystem::path(full).parent_path())) {
          append(name, some_lines());
        }
        break;
    }
  }

  std::mt19937_64 random_{std::get<0>(GetParam())};
};

TEST_P(DiskTranscriptsRandomTest, GivesWhatAReaderGivesThatBeginsFromNothing) {
  settings_.dedup = std::get<1>(GetParam());
  if (!std::get<2>(GetParam())) settings_.state_dir.clear();
  settings_.threads = 2;
  std::filesystem::create_directories(path(""));
  std::unique_ptr<DiskTranscripts> same = open();
  for (int step = 0; step < 250; ++step) {
    for (std::uint64_t left = 1 + pick(3); left > 0; --left) something();
    core::Timestamp now = kNow;
    if (pick(3) == 0) now = some_time();
    const std::string expected = text_of(answer_of(entries_of(path(""), settings_.dedup), now));
    ASSERT_EQ(text_of(same->windows(now)), expected) << "step " << step << '\n' << log_.all();
    if (pick(4) == 0) {
      ASSERT_EQ(text_of(open()->windows(now)), expected) << "a new object, step " << step;
    }
    if (pick(20) == 0) same = open();
  }
  EXPECT_EQ(log_.count("warn"), 0U) << log_.all();
}

INSTANTIATE_TEST_SUITE_P(Seeds, DiskTranscriptsRandomTest,
                         ::testing::Combine(::testing::Range(1U, 4U),
                                            ::testing::Values(TranscriptSettings::Dedup::kComplete,
                                                              TranscriptSettings::Dedup::kFirst),
                                            ::testing::Bool()));

}  // namespace
}  // namespace satchel::cascade
