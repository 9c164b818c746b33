#include "cascade/credentials.hpp"

#include <fcntl.h>
#include <simdjson.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "cascade/serde_members.hpp"
#include "core/file.hpp"
#include "core/json_tape.hpp"

namespace satchel::cascade {

using core::JsonCursor;
using core::JsonValue;
using core::Secret;
using core::UniqueFd;

namespace {

constexpr std::size_t kMaxBytes = 1'000'000;

TokenAnswer failed(UsageError error) { return {error, {}}; }

// A Vec<String>, absent or there.
bool is_texts(JsonValue value) {
  if (!value.exists()) return true;
  if (!value.is_array()) return false;
  for (JsonCursor cursor(value); cursor.valid(); cursor.next()) {
    if (!cursor.value().is_string()) return false;
  }
  return true;
}

Secret text_of(JsonValue value) {
  std::string storage;
  storage.reserve(value.text_length());
  Secret text(value.text(storage));
  core::wipe(storage);
  return text;
}

class FileCredentials final : public Credentials {
 public:
  FileCredentials(std::vector<std::string> config_dirs, core::Log& log)
      : config_dirs_(std::move(config_dirs)), log_(log) {}

  TokenAnswer token() override {
    for (const std::string& dir : config_dirs_) {
      const std::string path = dir + "/.credentials.json";
      struct stat status {};
      if (::stat(path.c_str(), &status) == 0) return read(path);
      // A file that may not be looked at must not hide a later one that may.
      if (errno != ENOENT && errno != EACCES && errno != EPERM) return unreadable(path, errno);
    }
    return failed(UsageError::kNoCredentials);
  }

 private:
  TokenAnswer read(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd.valid()) return unreadable(path, errno);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return unreadable(path, errno);
    if (!S_ISREG(status.st_mode)) return unreadable(path, EISDIR);
    // Never moved to a larger place: what is left behind would not be wiped.
    Secret text(std::min<std::size_t>(static_cast<std::size_t>(status.st_size), kMaxBytes) + 1);
    const std::ptrdiff_t got = core::read_at(fd.get(), 0, text.data(), text.view().size());
    if (got < 0) return unreadable(path, errno);
    const std::string_view bytes = text.view().substr(0, static_cast<std::size_t>(got));
    if (bytes.size() == text.view().size()) return unreadable(path, EFBIG);
    // The reference reads a String: what is no UTF-8 cannot be read at all.
    if (!simdjson::validate_utf8(bytes.data(), bytes.size())) return unreadable(path, EILSEQ);
    TokenAnswer answer = read_credentials(bytes);
    if (answer.error != UsageError::kNone) {
      log_.write(core::LogLevel::kDebug, "cascade.credentials",
                 path + ": " + std::string(usage_error_name(answer.error)));
    }
    return answer;
  }

  TokenAnswer unreadable(const std::string& path, int os_errno) {
    log_.write(core::LogLevel::kDebug, "cascade.credentials",
               core::io_error("cannot read " + path, os_errno).message);
    return failed(UsageError::kIoError);
  }

  const std::vector<std::string> config_dirs_;
  core::Log& log_;
};

}  // namespace

TokenAnswer read_credentials(std::string_view text) {
  core::JsonTape tape;
  if (!tape.read(text)) return failed(UsageError::kParseError);
  const auto file = serde_members<1>(tape.root(), {"claudeAiOauth"});
  // Of an array, unlike of an object, no element may be missing.
  const bool short_array = tape.root().is_array() && file && !(*file)[0].exists();
  if (!file || short_array) return failed(UsageError::kParseError);
  if (is_none((*file)[0])) return failed(UsageError::kMissingField);
  const auto oauth = serde_members<2>((*file)[0], {"accessToken", "scopes"});
  if (!oauth || !is_texts((*oauth)[1])) return failed(UsageError::kParseError);
  const JsonValue token = (*oauth)[0];
  if (!token.exists()) return failed(UsageError::kMissingField);
  if (token.is_null()) return failed(UsageError::kEmptyToken);
  if (!token.is_string()) return failed(UsageError::kParseError);
  if (token.text_length() == 0) return failed(UsageError::kEmptyToken);
  return {UsageError::kNone, text_of(token)};
}

std::unique_ptr<Credentials> make_file_credentials(std::vector<std::string> config_dirs,
                                                   core::Log& log) {
  return std::make_unique<FileCredentials>(std::move(config_dirs), log);
}

}  // namespace satchel::cascade
