// A store, its index, others who write into the store with nothing but files, and what the
// reference would answer: every meta read, every root resolved, each time.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): realpath is POSIX

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/lowercase.hpp"
#include "surroundings.hpp"
#include "tool_cache/file_store.hpp"
#include "tool_cache/store_index.hpp"

namespace satchel::tool_cache {

namespace fs = std::filesystem;

inline Key key_number(std::uint64_t n) { return key_of("entry " + std::to_string(n)); }

inline Meta meta_with(std::vector<std::string> roots, const std::vector<Key>& upstreams = {},
                      std::string kind = "read") {
  Meta meta;
  meta.payload_hash = std::string(64, 'a');
  meta.bytes = 7;
  meta.tool_kind = std::move(kind);
  for (std::string& path : roots) meta.file_roots.push_back({std::move(path), "hash"});
  for (const Key& key : upstreams) meta.upstream_keys.push_back(key.hex());
  return meta;
}

// Entries as another program writes them: a temporary file, renamed.
class ForeignWriter {
 public:
  explicit ForeignWriter(std::string store) : store_(std::move(store)) {}

  [[nodiscard]] std::string file(const Key& key, std::string_view suffix) const {
    return shard(key) + '/' + key.hex() + std::string(suffix);
  }
  [[nodiscard]] std::string shard(const Key& key) const {
    return store_ + '/' + key.hex().substr(0, 2);
  }
  void put_file(const Key& key, std::string_view suffix, std::string_view content) const {
    fs::create_directories(shard(key));
    const std::string temporary = shard(key) + "/.verdant-tmp-1-1";
    in_place(temporary, content);
    fs::rename(temporary, file(key, suffix));
  }
  static void in_place(const std::string& path, std::string_view content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(content.data(), static_cast<std::streamsize>(content.size()));
  }
  void put(const Key& key, const Meta& meta) const {
    put_file(key, ".payload", "payload");
    put_file(key, ".meta.json", write_meta(meta));
  }
  void remove(const Key& key) const {
    fs::remove(file(key, ".payload"));
    fs::remove(file(key, ".meta.json"));
  }

 private:
  std::string store_;
};

// The reference's rules, without any index.
class PlainStore {
 public:
  PlainStore(const std::string& store, std::string workspace) : workspace_(std::move(workspace)) {
    for (const auto& shard : fs::directory_iterator(store)) {
      if (!shard.is_directory() || shard.path().filename().string().size() != 2) continue;
      for (const auto& file : fs::directory_iterator(shard)) {
        const std::string name = file.path().filename();
        if (!name.ends_with(".meta.json")) continue;
        const std::optional<Key> key = Key::of_name(name.substr(0, name.size() - 10));
        std::ifstream stream(file.path(), std::ios::binary);
        const std::string text((std::istreambuf_iterator<char>(stream)), {});
        core::Result<Meta> meta = read_meta(text);
        if (key && meta) metas_.emplace(*key, std::move(*meta));
      }
    }
  }

  [[nodiscard]] std::vector<Key> with_root(const std::string& given) const {
    const std::string joined = join(given);
    const std::optional<std::string> canonical = canonicalize(joined);
    const std::string target = core::lowercase_lossy(canonical ? *canonical : joined);
    std::vector<Key> keys;
    for (const auto& [key, meta] : metas_) {
      for (const Root& root : meta.file_roots) {
        if (!matches(root.path, given, joined, target)) continue;
        keys.push_back(key);
        break;
      }
    }
    return keys;
  }

  [[nodiscard]] std::vector<Key> dependents(const std::vector<Key>& keys) const {
    std::set<std::string> dirty;
    for (const Key& key : keys) dirty.insert(key.hex());
    std::set<Key> reached;
    for (bool more = true; more;) {
      more = false;
      for (const auto& [key, meta] : metas_) {
        if (reached.contains(key)) continue;
        for (const std::string& upstream : meta.upstream_keys) {
          if (!dirty.contains(upstream)) continue;
          reached.insert(key);
          dirty.insert(key.hex());
          more = true;
          break;
        }
      }
    }
    return {reached.begin(), reached.end()};
  }

  [[nodiscard]] std::size_t size() const { return metas_.size(); }
  [[nodiscard]] const std::map<Key, Meta>& metas() const { return metas_; }

 private:
  [[nodiscard]] std::string join(const std::string& path) const {
    if (path.starts_with('/')) return path;
    return workspace_ + '/' + path;
  }
  static std::optional<std::string> canonicalize(const std::string& path) {
    if (path.find('\0') != std::string::npos) return std::nullopt;
    char* resolved = ::realpath(path.c_str(), nullptr);
    if (resolved == nullptr) return std::nullopt;
    std::string text(resolved);
    ::free(resolved);
    return text;
  }
  [[nodiscard]] bool matches(const std::string& recorded, const std::string& given,
                             const std::string& joined, const std::string& target) const {
    const std::string resolved = join(recorded);
    if (const auto canonical = canonicalize(resolved)) {
      return core::lowercase_lossy(*canonical) == target;
    }
    return core::lowercase_lossy(resolved) == core::lowercase_lossy(joined) ||
           core::lowercase_lossy(recorded) == core::lowercase_lossy(given);
  }

  std::string workspace_;
  std::map<Key, Meta> metas_;
};

class ToolIndexFixture : public ::testing::Test {
 protected:
  ToolIndexFixture() {
    fs::create_directory(workspace());
    FileStore::Options options;
    options.root = store_path();
    auto opened = FileStore::open(options, log_);
    if (!opened) throw std::runtime_error(opened.error().message);
    store_ = std::move(*opened);
  }

  [[nodiscard]] std::string workspace() const { return directory_ / "work"; }
  [[nodiscard]] std::string store_path() const { return directory_ / "store"; }
  [[nodiscard]] std::string index_path() const { return store_path() + "/.satchel/index"; }
  [[nodiscard]] std::string database_path() const { return index_path() + "/tool_cache.db"; }

  struct Lost {
    Key key;
    std::int64_t sequence;
    Meta old;
  };

  std::unique_ptr<StoreIndex> make(bool in_memory = false) {
    return StoreIndex::over_files(
        *store_, {workspace(), in_memory},
        [this](const Key& key, std::int64_t sequence, Meta old) {
          lost_.push_back({key, sequence, std::move(old)});
        },
        clock_, log_);
  }
  std::unique_ptr<StoreIndex> opened(bool in_memory = false) {
    auto index = make(in_memory);
    index->open();
    return index;
  }

  static std::vector<Key> with_root(StoreIndex& index, const std::string& given) {
    core::Result<std::vector<Key>> keys = index.with_root(given);
    EXPECT_TRUE(keys) << (keys ? "" : keys.error().message);
    return keys ? *keys : std::vector<Key>{};
  }
  static std::vector<Key> dependents(StoreIndex& index, const std::vector<Key>& keys) {
    core::Result<std::vector<Key>> reached = index.dependents(keys, true);
    EXPECT_TRUE(reached) << (reached ? "" : reached.error().message);
    return reached ? *reached : std::vector<Key>{};
  }
  [[nodiscard]] PlainStore plain() const { return {store_path(), workspace()}; }

  // Until the stamps of what was written last are past the granularity of file times.
  static void let_settle() { std::this_thread::sleep_for(std::chrono::milliseconds(40)); }

  core::TemporaryDirectory directory_;
  core::ManualClock clock_;
  core::CapturedLog log_;
  ForeignWriter foreign_{store_path()};
  std::unique_ptr<FileStore> store_;
  std::vector<Lost> lost_;
};

}  // namespace satchel::tool_cache
