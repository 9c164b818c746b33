// Secrets are wiped when they are no longer needed.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace satchel::core {

// Overwrites the bytes, in a way that the compiler keeps.
void wipe(char* data, std::size_t len);
// The same, and empties the text.
void wipe(std::string& secret);

// A secret in memory of its own, wiped with it. A std::string would not do: short texts lie in the
// object itself and stay behind where it was moved from.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::size_t size) : data_(new char[size]()), size_(size) {}
  explicit Secret(std::string_view text);
  Secret(Secret&& other) noexcept
      : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Secret& operator=(Secret&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(data_.get(), size_); }

  [[nodiscard]] char* data() { return data_.get(); }
  [[nodiscard]] std::string_view view() const { return {data_.get(), size_}; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

 private:
  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0;
};

}  // namespace satchel::core
