#include "tool_cache/payload_source.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "core/file.hpp"
#include "tool_cache/shard_files.hpp"

namespace satchel::tool_cache {
namespace {

class PlainSource final : public PayloadSource {
 public:
  PlainSource(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  core::Result<std::size_t> read(std::uint64_t offset, char* out, std::size_t capacity) override {
    const std::ptrdiff_t n = core::read_at(fd_, offset, out, capacity);
    if (n < 0) return core::io_error("cannot read " + path_, errno);
    return static_cast<std::size_t>(n);
  }

 private:
  const int fd_;
  const std::string path_;
};

class ZlibSource final : public PayloadSource {
 public:
  ZlibSource(int fd, std::string path, std::uint64_t bytes)
      : fd_(fd), path_(std::move(path)), bytes_(bytes), input_(kInput) {
    if (::inflateInit(&stream_) != Z_OK) throw std::bad_alloc();
  }
  ~ZlibSource() override { ::inflateEnd(&stream_); }

  core::Result<std::size_t> read(std::uint64_t offset, char* out, std::size_t capacity) override {
    if (offset > bytes_ || (offset == bytes_ && bytes_ != 0)) return std::size_t{0};
    if (offset < position_) restart();
    std::array<char, 16 << 10> passed;
    while (position_ < offset) {
      const std::uint64_t step = std::min<std::uint64_t>(offset - position_, passed.size());
      if (core::Result<void> ok = inflate_to(passed.data(), step); !ok.ok()) return ok.take_error();
    }
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(capacity, bytes_ - offset));
    if (core::Result<void> ok = inflate_to(out, wanted); !ok.ok()) return ok.take_error();
    if (position_ == bytes_) {
      if (core::Result<void> ok = expect_end(); !ok.ok()) return ok.take_error();
    }
    return wanted;
  }

 private:
  static constexpr std::size_t kInput = 64 << 10;

  void restart() {
    ::inflateReset(&stream_);
    stream_.avail_in = 0;
    position_ = consumed_ = 0;
    ended_ = false;
  }

  [[nodiscard]] core::Error broken(const char* what) const {
    return {core::Status::kIntegrity, path_ + " is damaged: " + what};
  }

  // Exactly `size` bytes more.
  core::Result<void> inflate_to(char* out, std::uint64_t size) {
    while (size > 0) {
      const auto step = static_cast<uInt>(std::min<std::uint64_t>(size, 1U << 30));
      core::Result<std::size_t> n = inflate_some(out, step);
      if (!n.ok()) return n.take_error();
      if (*n == 0) return broken("its compressed data ends early");
      out += *n;
      size -= *n;
      position_ += *n;
    }
    return {};
  }

  // After all bytes: the stream must end here, with its checksum.
  core::Result<void> expect_end() {
    char beyond = 0;
    core::Result<std::size_t> n = inflate_some(&beyond, 1);
    if (!n.ok()) return n.take_error();
    if (*n != 0) return broken("it inflates to more than its meta says");
    return {};
  }

  // At least one byte, or 0 at the end of the stream.
  core::Result<std::size_t> inflate_some(char* out, uInt capacity) {
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = capacity;
    while (!ended_ && stream_.avail_out == capacity) {
      if (stream_.avail_in == 0) {
        const std::ptrdiff_t n = core::read_at(fd_, consumed_, input_.data(), input_.size());
        if (n < 0) return core::io_error("cannot read " + path_, errno);
        if (n == 0) return broken("its compressed data is cut off");
        consumed_ += static_cast<std::uint64_t>(n);
        stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
        stream_.avail_in = static_cast<uInt>(n);
      }
      const int code = ::inflate(&stream_, Z_NO_FLUSH);
      if (code == Z_MEM_ERROR) throw std::bad_alloc();
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        return broken("no zlib stream");
      }
      ended_ = code == Z_STREAM_END;
    }
    return static_cast<std::size_t>(capacity - stream_.avail_out);
  }

  const int fd_;
  const std::string path_;
  const std::uint64_t bytes_;
  std::vector<char> input_;
  z_stream stream_{};
  std::uint64_t position_ = 0;  // of what was inflated
  std::uint64_t consumed_ = 0;  // of what was read
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<PayloadSource> payload_source(int fd, std::string path, Encoding encoding,
                                              std::uint64_t bytes) {
  if (encoding == Encoding::kPlain) return std::make_unique<PlainSource>(fd, std::move(path));
  return std::make_unique<ZlibSource>(fd, std::move(path), bytes);
}

}  // namespace satchel::tool_cache
