// A store in a directory of its own, and a look at its files past it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "surroundings.hpp"
#include "tool_cache/file_store.hpp"
#include "tool_cache/key.hpp"

namespace satchel::tool_cache {

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
}

inline void set_mtime(const std::filesystem::path& path, std::int64_t ns) {
  const struct timespec times[2] = {{0, UTIME_OMIT},
                                    {ns / core::kNanosPerSecond, ns % core::kNanosPerSecond}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

// Bytes that no compressor shortens, and others.
inline std::string noise(std::size_t size, std::uint64_t seed = 1) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<char>(seed >> 56);
  }
  return bytes;
}
inline std::string prose(std::size_t size) {
  std::string bytes;
  for (int line = 0; bytes.size() < size; ++line) {
    bytes += "line " + std::to_string(line) + ": nothing new under the sun\n";
  }
  bytes.resize(size);
  return bytes;
}

// Until stamps of files written before can be believed.
inline void let_stamps_settle() { std::this_thread::sleep_for(std::chrono::milliseconds(40)); }

class FileStoreFixture : public ::testing::Test {
 protected:
  std::unique_ptr<FileStore> open() {
    FileStore::Options options;
    options.root = root();
    return open(std::move(options));
  }
  std::unique_ptr<FileStore> open(FileStore::Options options) {
    core::Result<std::unique_ptr<FileStore>> store = FileStore::open(std::move(options), log_);
    if (!store.ok()) throw std::runtime_error(store.error().message);
    return std::move(*store);
  }

  [[nodiscard]] std::string root() const { return directory_ / "store"; }
  [[nodiscard]] std::filesystem::path shard_of(const Key& key) const {
    return std::filesystem::path(root()) / key.hex().substr(0, 2);
  }
  [[nodiscard]] std::filesystem::path payload_of(const Key& key) const {
    return shard_of(key) / (key.hex() + ".payload");
  }
  [[nodiscard]] std::filesystem::path meta_of(const Key& key) const {
    return shard_of(key) / (key.hex() + ".meta.json");
  }
  // How many files are in .satchel/tmp.
  [[nodiscard]] std::size_t staged() const {
    const std::filesystem::path tmp = std::filesystem::path(root()) / ".satchel/tmp";
    std::error_code missing;
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(tmp, missing), {}));
  }

  static Meta meta(std::string kind = "read") {
    Meta meta;
    meta.tool_kind = std::move(kind);
    return meta;
  }
  static void persist(FileStore& store, const Key& key, std::string_view payload,
                      Meta meta = FileStoreFixture::meta()) {
    const core::Result<void> stored = store.persist(key, payload, std::move(meta));
    ASSERT_TRUE(stored.ok()) << stored.error().message;
  }

  // The payload, "(nothing)", or the error's status by name.
  static std::string look(FileStore& store, const Key& key) {
    core::Result<Stored> stored = store.lookup(key);
    if (!stored.ok()) return said(stored.error());
    if (stored->meta == nullptr) return "(nothing)";
    core::Result<std::string_view> view = stored->payload->view();
    return view.ok() ? std::string(*view) : said(view.error());
  }
  static std::string said(const core::Error& error) {
    switch (error.status) {
      case core::Status::kIntegrity:
        return "(integrity)";
      case core::Status::kMeta:
        return "(meta)";
      case core::Status::kNoSpace:
        return "(no space)";
      default:
        return "(" + error.message + ")";
    }
  }

  core::TemporaryDirectory directory_;
  core::CapturedLog log_;
};

}  // namespace satchel::tool_cache
