// The tool cache, timed from outside the library and inside one process: the half of
// bench_tool_cache.py that must not have Python in its figures.
//
// One command a line on standard input, its words parted by tabs; one answer a line on standard
// output, "min_ns median_ns number" or "error: ...":
//   open STORE WORKSPACE           closes what was open; the number is that of the known entries
//   reopen TIMES KEY               closing is not timed; unless KEY is empty, its revalidation is
//   flush                          waits until the background has nothing to do
//   revalidate KEY TIMES           lookup_revalidate, the payload's bytes, free; number: its size
//   persist KEY BYTES PATH TIMES   roots: PATH, or none where it is empty
//   invalidate_path PATH           number: the matches
//   rebuild                        the index anew from the store

#include <satchel/satchel.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "commands.hpp"

namespace {

constexpr std::uint32_t kFlushMs = 600'000;

class Driver {
 public:
  Driver() { require_ok(satchel_open(nullptr, nullptr, 0, &library_, &error_), error_, "open"); }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  ~Driver() {
    satchel_tool_cache_close(&cache_);
    satchel_close(&library_);
  }

  Figures open(const Words& words) {
    store_ = words.at(1);
    workspace_ = words.at(2);
    Figures figures;
    figures.took.push_back(timed_open());
    figures.number = known_entries();
    return figures;
  }

  Figures reopen(const Words& words) {
    Figures figures;
    for (int left = std::stoi(words.at(1)); left > 0; --left) {
      const std::int64_t took = timed_open();
      figures.took.push_back(took + (words.at(2).empty() ? 0 : timed_revalidation(words[2]).first));
    }
    figures.number = known_entries();
    return figures;
  }

  Figures flush(const Words& /*words*/) {
    return once([this] { return satchel_tool_cache_flush(cache_, kFlushMs, &error_); });
  }

  Figures revalidate(const Words& words) {
    Figures figures;
    for (int left = std::stoi(words.at(2)); left > 0; --left) {
      const auto [took, size] = timed_revalidation(words[1]);
      figures.took.push_back(took);
      figures.number = size;
    }
    return figures;
  }

  Figures persist(const Words& words) {
    const std::string& key = words.at(1);
    const std::string& path = words.at(3);
    const std::string payload(std::stoul(words.at(2)), 'p');
    const std::string fingerprint = path.empty() ? "" : fingerprint_of(path);
    const satchel_root root{view(path), view(fingerprint)};
    satchel_tool_meta meta = SATCHEL_TOOL_META_INIT;
    meta.kind = view("read");
    meta.roots = &root;
    meta.root_count = path.empty() ? 0 : 1;
    Figures figures;
    for (int left = std::stoi(words.at(4)); left > 0; --left) {
      const std::int64_t start = now_ns();
      const satchel_status status = satchel_tool_persist(
          cache_, key.data(), key.size(), payload.data(), payload.size(), &meta, &error_);
      figures.took.push_back(now_ns() - start);
      require_ok(status, error_, "persist");
    }
    return figures;
  }

  Figures invalidate_path(const Words& words) {
    const std::string& path = words.at(1);
    std::uint64_t matches = 0;
    Figures figures = once([&] {
      return satchel_tool_invalidate_path(cache_, path.data(), path.size(), &matches, &error_);
    });
    figures.number = matches;
    return figures;
  }

  Figures rebuild(const Words& /*words*/) {
    return once([this] { return satchel_tool_rebuild(cache_, &error_); });
  }

 private:
  std::int64_t timed_open() {
    require_ok(satchel_tool_cache_close(&cache_), error_, "close");
    satchel_tool_place place = SATCHEL_TOOL_PLACE_INIT;
    place.store = view(store_);
    place.workspace = view(workspace_);
    const std::int64_t start = now_ns();
    const satchel_status status =
        satchel_tool_cache_open(library_, &place, nullptr, 0, &cache_, &error_);
    const std::int64_t took = now_ns() - start;
    require_ok(status, error_, "open");
    return took;
  }

  // How long it took, and the size of the payload.
  std::pair<std::int64_t, std::uint64_t> timed_revalidation(const std::string& key) {
    satchel_tool_result* result = nullptr;
    satchel_view payload{};
    const std::int64_t start = now_ns();
    satchel_status status =
        satchel_tool_lookup_revalidate(cache_, key.data(), key.size(), &result, &error_);
    if (status == SATCHEL_OK) status = satchel_tool_result_payload(result, &payload, &error_);
    const std::uint64_t size = payload.len;
    satchel_tool_result_free(&result);
    const std::int64_t took = now_ns() - start;
    require_ok(status, error_, "lookup_revalidate");
    return {took, size};
  }

  std::uint64_t known_entries() {
    std::uint64_t count = 0;
    require_ok(satchel_tool_entry_count(cache_, &count, &error_), error_, "entry_count");
    return count;
  }

  std::string fingerprint_of(const std::string& path) {
    satchel_buffer buffer = SATCHEL_BUFFER_INIT;
    const satchel_status status = satchel_tool_fingerprint(
        cache_, path.data(), path.size(), SATCHEL_FINGERPRINT_CONTENT, &buffer, &error_);
    const std::string text(buffer.data, buffer.len);
    satchel_buffer_free(&buffer);
    require_ok(status, error_, "fingerprint");
    return text;
  }

  Figures once(const std::function<satchel_status()>& call) {
    const std::int64_t start = now_ns();
    const satchel_status status = call();
    const std::int64_t took = now_ns() - start;
    require_ok(status, error_, "call");
    return {{took}, 0};
  }

  satchel_error error_ = SATCHEL_ERROR_INIT;
  satchel_library* library_ = nullptr;
  satchel_tool_cache* cache_ = nullptr;
  std::string store_;
  std::string workspace_;
};

const Commands<Driver> kCommands = {
    {"open", &Driver::open},       {"reopen", &Driver::reopen},
    {"flush", &Driver::flush},     {"revalidate", &Driver::revalidate},
    {"persist", &Driver::persist}, {"invalidate_path", &Driver::invalidate_path},
    {"rebuild", &Driver::rebuild},
};

}  // namespace

int main() { return answer_all("bench_tool_cache", kCommands); }
