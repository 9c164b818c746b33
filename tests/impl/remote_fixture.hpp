// Two machines, as far as the tool cache sees them: each with a store and a workspace of its own,
// both with the same remote.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "surroundings.hpp"
#include "tool_cache/tool_cache.hpp"

namespace satchel::tool_cache {

class Machine {
 public:
  Machine(const std::string& directory, const RemoteConfig& remote, core::Clock& clock)
      : workspace_(directory + "/work"), store_(directory + "/store"), clock_(clock) {
    std::filesystem::create_directories(workspace_);
    config_.hash_max_bytes = 100 << 20;
    config_.remote = remote;
    open();
  }

  void open() {
    cache_.reset();
    auto opened = ToolCache::open({store_, workspace_, nullptr}, config_, clock_, log_);
    if (!opened) throw std::runtime_error(opened.error().message);
    cache_ = std::move(*opened);
  }
  void close() { cache_.reset(); }
  ToolCache& cache() { return *cache_; }
  core::CapturedLog& log() { return log_; }
  [[nodiscard]] const std::string& workspace() const { return workspace_; }

  void write(const std::string& name, std::string_view content) const {
    std::ofstream(workspace_ + '/' + name, std::ios::binary)
        .write(content.data(), std::ssize(content));
  }
  // Relative to the workspace, with its fingerprint here.
  Root root(const std::string& name) {
    const core::Result<std::string> now = cache_->fingerprint(name, FingerprintForm::kContent);
    EXPECT_TRUE(now) << (now ? "" : now.error().message);
    return {name, now ? *now : ""};
  }

  // Stored here and passed on.
  void persist(const Key& key, std::string_view payload, std::vector<Root> roots = {},
               const std::vector<Key>& upstreams = {}) {
    Meta meta;
    meta.tool_kind = "read";
    meta.file_roots = std::move(roots);
    for (const Key& upstream : upstreams) meta.upstream_keys.push_back(upstream.hex());
    const core::Result<void> stored = cache_->persist(key, payload, std::move(meta));
    EXPECT_TRUE(stored) << (stored ? "" : stored.error().message);
    EXPECT_TRUE(passed_on());
  }
  bool passed_on() { return cache_->flush(20 * core::kSecond); }

  // "hit: <payload>", "miss", "invalidated" or the error.
  std::string check(const Key& key) { return said(cache_->lookup_revalidate(key)); }
  std::string look(const Key& key) { return said(cache_->lookup(key)); }
  static std::string said(const core::Result<Found>& found) {
    if (!found) return "error: " + found.error().message;
    if (found->answer == core::Status::kMiss) return "miss";
    if (found->answer == core::Status::kInvalidated) return "invalidated";
    const core::Result<std::string_view> bytes = found->stored.payload->view();
    return bytes ? "hit: " + std::string(*bytes) : "error: " + bytes.error().message;
  }
  // Without the remote: whether its own store has it.
  bool has(const Key& key) {
    return std::filesystem::exists(store_ + '/' + key.hex().substr(0, 2) + '/' + key.hex() +
                                   ".payload");
  }

  std::uint64_t counted(const std::string& name) {
    const std::string line = "\nsatchel_tool_cache_" + name + "_total ";
    const std::string text = '\n' + cache_->metrics();
    const std::size_t at = text.find(line);
    if (at == std::string::npos) throw std::runtime_error("no counter " + name);
    return std::stoull(text.substr(at + line.size()));
  }

 private:
  const std::string workspace_;
  const std::string store_;
  core::Clock& clock_;
  core::CapturedLog log_;
  Config config_;
  std::unique_ptr<ToolCache> cache_;
};

class RemoteFixture : public ::testing::Test {
 protected:
  Machine& machine(const std::string& name, const RemoteConfig& remote) {
    return *machines_.emplace_back(
        std::make_unique<Machine>(directory_ / name, remote, core::system_clock()));
  }
  Machine& machine(const std::string& name, const RemoteConfig& remote, core::Clock& clock) {
    return *machines_.emplace_back(std::make_unique<Machine>(directory_ / name, remote, clock));
  }

  core::TemporaryDirectory directory_;
  core::ManualClock clock_;  // goes after the machines that look at it

 private:
  std::vector<std::unique_ptr<Machine>> machines_;
};

}  // namespace satchel::tool_cache
