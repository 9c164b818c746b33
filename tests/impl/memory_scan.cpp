#include "memory_scan.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <random>
#include <stdexcept>

#include "core/file.hpp"

namespace satchel::core {
namespace {

constexpr std::size_t kPiece = 24;
constexpr std::size_t kBufferBytes = 1 << 20;
// A sanitizer's shadow of all memory is larger, and holds no text.
constexpr std::uint64_t kLargestMapping = 1 << 30;

// Outside of the heap, so that the scan does not find what it has just read.
class ScanBuffer {
 public:
  ScanBuffer()
      : data_(static_cast<char*>(::mmap(nullptr, kBufferBytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    if (data_ == MAP_FAILED) throw std::runtime_error("no memory to scan with");
  }
  ScanBuffer(const ScanBuffer&) = delete;
  ScanBuffer& operator=(const ScanBuffer&) = delete;
  ~ScanBuffer() { ::munmap(data_, kBufferBytes); }
  [[nodiscard]] char* data() const { return data_; }
  [[nodiscard]] bool holds(std::uint64_t address) const {
    const auto start = reinterpret_cast<std::uintptr_t>(data_);
    return address >= start && address < start + kBufferBytes;
  }

 private:
  char* data_;
};

bool piece_at(const HiddenToken& token, std::size_t from, const char* bytes) {
  for (std::size_t i = 0; i < kPiece; ++i) {
    if (bytes[i] != token.at(from + i)) return false;
  }
  return true;
}

}  // namespace

HiddenToken::HiddenToken() : inverted_(kSize) {
  std::random_device random;
  for (std::uint8_t& byte : inverted_) byte = static_cast<std::uint8_t>(~('A' + random() % 26));
}

std::string HiddenToken::revealed(const char* before) const {
  std::string text;
  const std::size_t start = std::char_traits<char>::length(before);
  text.resize(start + kSize);  // at once: growing would leave pieces behind
  for (std::size_t i = 0; i < start; ++i) text[i] = before[i];
  for (std::size_t i = 0; i < kSize; ++i) text[start + i] = at(i);
  return text;
}

std::vector<std::string> find_in_memory(const HiddenToken& token) {
  const ScanBuffer buffer;
  const UniqueFd memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  // Most bytes are zero, and passed over quickly.
  std::array<bool, 256> begins_piece{};
  for (std::size_t from = 0; from + kPiece <= HiddenToken::kSize; from += kPiece) {
    begins_piece[static_cast<unsigned char>(token.at(from))] = true;
  }
  std::vector<std::string> found;
  std::vector<std::string> maps;
  std::ifstream in("/proc/self/maps");
  for (std::string line; std::getline(in, line);) maps.push_back(line);

  for (const std::string& map : maps) {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    char mode[5] = {};
    if (std::sscanf(map.c_str(), "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, mode) != 3) continue;
    if (end - start > kLargestMapping) continue;
    if (mode[0] != 'r' || mode[1] != 'w' || mode[3] != 'p') continue;
    // Neighbouring chunks overlap by a piece.
    for (std::uint64_t at = start; at < end; at += kBufferBytes - kPiece) {
      const ssize_t got =
          ::pread(memory.get(), buffer.data(), std::min<std::uint64_t>(kBufferBytes, end - at),
                  static_cast<off_t>(at));
      for (ssize_t i = 0; i + static_cast<ssize_t>(kPiece) <= got; ++i) {
        if (!begins_piece[static_cast<unsigned char>(buffer.data()[i])]) continue;
        if (buffer.holds(at + static_cast<std::uint64_t>(i))) continue;
        for (std::size_t from = 0; from + kPiece <= HiddenToken::kSize; from += kPiece) {
          if (!piece_at(token, from, buffer.data() + i)) continue;
          found.push_back("bytes " + std::to_string(from) + "+ in " + map);
          break;
        }
      }
    }
  }
  return found;
}

}  // namespace satchel::core
