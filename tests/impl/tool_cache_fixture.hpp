// A tool cache over a directory of its own, with a workspace beside the store.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/log.hpp"
#include "surroundings.hpp"
#include "tool_cache/tool_cache.hpp"

namespace satchel::tool_cache {

class ToolCacheFixture : public ::testing::Test {
 protected:
  ToolCacheFixture() { std::filesystem::create_directory(workspace()); }

  [[nodiscard]] std::filesystem::path workspace() const { return directory_ / "work"; }
  [[nodiscard]] std::filesystem::path store() const { return directory_ / "store"; }
  [[nodiscard]] std::filesystem::path file_of(const Key& key, const char* suffix) const {
    return store() / key.hex().substr(0, 2) / (key.hex() + suffix);
  }

  std::unique_ptr<ToolCache> open() { return open(config_); }
  std::unique_ptr<ToolCache> open(Config config) {
    if (config.hash_max_bytes == 0) config.hash_max_bytes = 100 << 20;
    auto opened = ToolCache::open({store().native(), workspace().native(), nullptr},
                                  std::move(config), core::system_clock(), log_);
    if (!opened) throw std::runtime_error(opened.error().message);
    return std::move(*opened);
  }

  std::string write(const std::string& name, std::string_view content) {
    const std::filesystem::path path = workspace() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary).write(content.data(), std::ssize(content));
    return path.native();
  }

  static Root root(const std::string& path) {
    core::Result<std::string> now = tool_cache::fingerprint(path, Form::kContent);
    EXPECT_TRUE(now) << (now ? "" : now.error().message);
    return {path, now ? *now : ""};
  }

  static Meta meta(std::string kind, std::vector<Root> roots = {},
                   const std::vector<Key>& upstreams = {}) {
    Meta meta;
    meta.tool_kind = std::move(kind);
    meta.file_roots = std::move(roots);
    for (const Key& key : upstreams) meta.upstream_keys.push_back(key.hex());
    return meta;
  }

  static void persist(ToolCache& cache, const Key& key, std::string_view payload, Meta meta) {
    const core::Result<void> stored = cache.persist(key, payload, std::move(meta));
    EXPECT_TRUE(stored) << stored.error().message;
  }

  // "hit: <payload>", "miss", "invalidated", or the error's status by name.
  static std::string said(core::Result<Found> found) {
    if (!found) {
      switch (found.error().status) {
        case core::Status::kIntegrity:
          return "integrity";
        case core::Status::kMeta:
          return "meta";
        default:
          return "error: " + found.error().message;
      }
    }
    if (found->answer == core::Status::kMiss) return "miss";
    if (found->answer == core::Status::kInvalidated) return "invalidated";
    const core::Result<std::string_view> bytes = found->stored.payload->view();
    return bytes ? "hit: " + std::string(*bytes) : "error: " + bytes.error().message;
  }
  static std::string look(ToolCache& cache, const Key& key) { return said(cache.lookup(key)); }
  static std::string check(ToolCache& cache, const Key& key) {
    return said(cache.lookup_revalidate(key));
  }
  static std::uint64_t count(ToolCache& cache) {
    const core::Result<std::uint64_t> entries = cache.entry_count();
    EXPECT_TRUE(entries) << entries.error().message;
    return entries ? *entries : 0;
  }

  core::TemporaryDirectory directory_;
  core::CapturedLog log_;
  Config config_;
};

}  // namespace satchel::tool_cache
