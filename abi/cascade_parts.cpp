#include "cascade_parts.hpp"

#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "boundary.hpp"
#include "cascade/places.hpp"
#include "core/file.hpp"
#include "http.hpp"

using satchel::cascade::TranscriptWindows;
using satchel::cascade::UsageError;

// What callbacks fill: they live on the stack of the call that asks.
struct satchel_file_answer {
  std::optional<satchel::cascade::FileContent> content;
  bool out_of_memory = false;  // it was given, and not taken
};
struct satchel_token_answer {
  std::optional<satchel::core::Secret> token;
  UsageError error = UsageError::kNone;
  bool out_of_memory = false;
};
struct satchel_transcripts_answer {
  TranscriptWindows windows;
  bool has_seven_day = false;
};

namespace satchel::abi {

using cascade::FileContent;
using cascade::TokenAnswer;
using cascade::TranscriptAnswer;
using cascade::UsageFile;
using core::Error;
using core::Ok;
using core::Result;
using core::Status;

namespace {

template <class T>
using Table = std::shared_ptr<HostTable<T>>;

Error no_memory(const char* callback) {
  return {Status::kMemory, std::string("no memory for the answer of ") + callback, 0, 0};
}

class HostFiles final : public cascade::UsageFiles {
 public:
  explicit HostFiles(Table<satchel_usage_files> table) : table_(std::move(table)) {}

  Result<FileContent> read(UsageFile file, const core::FileStamp* /*known*/) override {
    satchel_file_answer answer;
    const satchel_status status = host().read(host().user, static_cast<int32_t>(file), &answer);
    if (answer.out_of_memory) return no_memory("files.read");
    if (Result<void> ok = answered("files.read", status); !ok) return ok.take_error();
    if (!answer.content) return FileContent{};
    return std::move(*answer.content);
  }
  Result<void> write(UsageFile file, std::string_view bytes) override {
    return answered("files.write", host().write(host().user, static_cast<int32_t>(file),
                                                bytes.data(), bytes.size()));
  }
  Result<void> remove(UsageFile file) override {
    return answered("files.remove", host().remove(host().user, static_cast<int32_t>(file)));
  }

 private:
  [[nodiscard]] const satchel_usage_files& host() const { return **table_; }

  const Table<satchel_usage_files> table_;
};

class HostCredentials final : public cascade::Credentials {
 public:
  HostCredentials(Table<satchel_credentials> table, std::unique_ptr<cascade::Credentials> built_in,
                  std::shared_ptr<Context> context)
      : table_(std::move(table)), built_in_(std::move(built_in)), context_(std::move(context)) {}

  TokenAnswer token() override {
    satchel_token_answer answer;
    const satchel_status status = (*table_)->token((*table_)->user, &answer);
    if (status == SATCHEL_NOT_HANDLED) return built_in_->token();
    if (answer.out_of_memory) return failed(UsageError::kIoError);
    if (answer.error != UsageError::kNone) return failed(answer.error);
    if (Result<void> ok = answered("credentials.token", status); !ok) {
      context_->log->write(core::LogLevel::kWarn, "cascade.credentials", ok.error().message);
      return failed(UsageError::kSubprocessFailed);
    }
    if (!answer.token) return failed(UsageError::kNoCredentials);
    if (answer.token->empty()) return failed(UsageError::kEmptyToken);
    return {UsageError::kNone, std::move(*answer.token)};
  }

 private:
  static TokenAnswer failed(UsageError error) { return {error, {}}; }

  const Table<satchel_credentials> table_;
  const std::unique_ptr<cascade::Credentials> built_in_;
  const std::shared_ptr<Context> context_;
};

class HostTranscripts final : public cascade::Transcripts {
 public:
  HostTranscripts(Table<satchel_transcripts> table, std::unique_ptr<cascade::Transcripts> built_in,
                  std::shared_ptr<Context> context)
      : table_(std::move(table)), built_in_(std::move(built_in)), context_(std::move(context)) {}

  TranscriptAnswer windows(core::Timestamp now) override {
    satchel_transcripts_answer answer;
    const satchel_status status =
        (*table_)->windows((*table_)->user, core::unix_ns_of(now), &answer);
    if (status == SATCHEL_NOT_HANDLED) return built_in_->windows(now);
    if (Result<void> ok = answered("transcripts.windows", status); !ok) {
      context_->log->write(core::LogLevel::kWarn, "cascade.transcripts", ok.error().message);
      return {UsageError::kIoError, {}};
    }
    if (!answer.has_seven_day) return {UsageError::kNoEntries, {}};
    return {UsageError::kNone, answer.windows};
  }
  Result<std::string> report(core::Timestamp /*now*/,
                             const cascade::ReportRange& /*range*/) override {
    return Error{Status::kNotHandled, "the transcripts are the host's", 0, 0};
  }

 private:
  const Table<satchel_transcripts> table_;
  const std::unique_ptr<cascade::Transcripts> built_in_;
  const std::shared_ptr<Context> context_;
};

// Throws nothing: there are other tables to be taken.
template <class T>
Result<Table<T>> take(const T* table, const char* name) try {
  if (table == nullptr) return Table<T>{};
  if (Result<void> checked = check_input_struct(table, sizeof(T), name); !checked) {
    return checked.take_error();
  }
  return take_table(*table);
} catch (const std::bad_alloc&) {
  return Error{Status::kMemory, {}, 0, 0};
}

// A directory's path, made absolute at once: the host may change its working directory.
Result<std::string> read_directory(const satchel_view& view, const char* name) {
  const Result<std::string_view> path = bytes_of(view.data, view.len, name);
  if (!path) return path.error();
  if (path->find('\0') != std::string_view::npos) {
    return argument_error(name, "holds a NUL byte");
  }
  return core::absolute_path(*path);
}

Result<void> read_config_dirs(const satchel_cascade_parts& parts, std::vector<std::string>& dirs) {
  const Result<std::span<const satchel_view>> given =
      items_of(parts.config_dirs, parts.config_dir_count, "config_dirs");
  if (!given) return given.error();
  if (parts.config_dirs == nullptr) return Ok{};
  dirs.clear();
  for (const satchel_view& view : *given) {
    Result<std::string> dir = read_directory(view, "config_dirs");
    if (!dir) return dir.take_error();
    if (dir->empty()) return argument_error("config_dirs", "holds an empty path");
    dirs.push_back(std::move(*dir));
  }
  return Ok{};
}

}  // namespace

Result<CascadeTables> take_cascade_tables(const satchel_cascade_parts* parts) {
  CascadeTables tables;
  if (parts == nullptr) return tables;
  if (Result<void> checked = check_input_struct(parts, sizeof *parts, "parts"); !checked) {
    return checked.take_error();
  }
  // All are taken before any is refused.
  Result<Table<satchel_usage_files>> files = take(parts->files, "files");
  Result<Table<satchel_credentials>> credentials = take(parts->credentials, "credentials");
  Result<Table<satchel_transcripts>> transcripts = take(parts->transcripts, "transcripts");
  if (!files) return files.take_error();
  if (!credentials) return credentials.take_error();
  if (!transcripts) return transcripts.take_error();
  tables = {std::move(*files), std::move(*credentials), std::move(*transcripts)};
  if (tables.files != nullptr &&
      ((*tables.files)->read == nullptr || (*tables.files)->write == nullptr ||
       (*tables.files)->remove == nullptr)) {
    return argument_error("files", "has some of its members only; it needs all of them");
  }
  if (tables.credentials != nullptr && (*tables.credentials)->token == nullptr) {
    return argument_error("credentials", "has no member `token`");
  }
  if (tables.transcripts != nullptr && (*tables.transcripts)->windows == nullptr) {
    return argument_error("transcripts", "has no member `windows`");
  }
  return tables;
}

Result<cascade::CascadeParts> make_cascade_parts(const satchel_cascade_parts* parts,
                                                 const CascadeTables& tables,
                                                 const cascade::Config& config,
                                                 const std::shared_ptr<Context>& context) {
  const cascade::Environment environment = cascade::environment_of_process();
  cascade::CascadeParts made;
  made.user_agent = "satchel/" SATCHEL_VERSION_STRING;
  made.cache_dir = core::absolute_path(cascade::default_cache_dir(environment));
  for (const std::string& dir : cascade::default_config_dirs(environment)) {
    made.config_dirs.push_back(core::absolute_path(dir));
  }
  if (parts != nullptr) {
    Result<std::string> cache_dir = read_directory(parts->cache_dir, "cache_dir");
    if (!cache_dir) return cache_dir.take_error();
    if (!cache_dir->empty()) made.cache_dir = std::move(*cache_dir);
    if (Result<void> read = read_config_dirs(*parts, made.config_dirs); !read) {
      return read.take_error();
    }
  }
  if (tables.files != nullptr) made.files = std::make_unique<HostFiles>(tables.files);
  if (tables.credentials != nullptr) {
    made.credentials = std::make_unique<HostCredentials>(
        tables.credentials, cascade::make_file_credentials(made.config_dirs, *context->log),
        context);
  }
  if (tables.transcripts != nullptr) {
    made.transcripts = std::make_unique<HostTranscripts>(
        tables.transcripts,
        cascade::make_built_in_transcripts(config, made, context->clock(), *context->log), context);
  }
  made.transport = make_host_transport(context);
  return made;
}

}  // namespace satchel::abi

namespace abi = satchel::abi;
using satchel::cascade::TokenCounts;
using satchel::core::Result;
using satchel::core::Status;

namespace {

TokenCounts counts_of(const satchel_tokens& tokens) {
  return {tokens.input, tokens.output, tokens.cache_creation, tokens.cache_read};
}

}  // namespace

extern "C" {

void satchel_usage_files_init(satchel_usage_files* files) {
  if (files != nullptr) *files = SATCHEL_USAGE_FILES_INIT;
}

void satchel_credentials_init(satchel_credentials* credentials) {
  if (credentials != nullptr) *credentials = SATCHEL_CREDENTIALS_INIT;
}

void satchel_transcripts_init(satchel_transcripts* transcripts) {
  if (transcripts != nullptr) *transcripts = SATCHEL_TRANSCRIPTS_INIT;
}

void satchel_cascade_parts_init(satchel_cascade_parts* parts) {
  if (parts != nullptr) *parts = SATCHEL_CASCADE_PARTS_INIT;
}

satchel_status satchel_file_set(satchel_file_answer* answer, const char* data, size_t len,
                                int64_t written_at) {
  const satchel_status status = abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    const Result<std::string_view> bytes = abi::bytes_of(data, len, "data");
    if (!bytes) return bytes.error();
    answer->content = {satchel::cascade::FileContent::State::kRead,
                       std::string(*bytes),
                       satchel::core::timestamp_of_ns(written_at),
                       {}};
    return Status::kOk;
  });
  if (status == SATCHEL_ERR_MEMORY) answer->out_of_memory = true;
  return status;
}

satchel_status satchel_token_set(satchel_token_answer* answer, const char* token,
                                 size_t token_len) {
  const satchel_status status = abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    const Result<std::string_view> text = abi::bytes_of(token, token_len, "token");
    if (!text) return text.error();
    answer->token.emplace(*text);
    return Status::kOk;
  });
  if (status == SATCHEL_ERR_MEMORY) answer->out_of_memory = true;
  return status;
}

satchel_status satchel_token_fail(satchel_token_answer* answer, int32_t error) {
  return abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    if (error < SATCHEL_USAGE_ERROR_NO_CREDENTIALS || error > SATCHEL_USAGE_ERROR_EMPTY_TOKEN) {
      return abi::argument_error("error", "is no failure of credentials");
    }
    answer->error = static_cast<UsageError>(error);
    return Status::kOk;
  });
}

satchel_status satchel_transcripts_five_hour_set(satchel_transcripts_answer* answer, int64_t start,
                                                 const satchel_tokens* tokens) {
  return abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    if (tokens == nullptr) return abi::argument_error("tokens", "is NULL");
    answer->windows.five_hour = {satchel::core::timestamp_of_ns(start), counts_of(*tokens)};
    return Status::kOk;
  });
}

satchel_status satchel_transcripts_seven_day_set(satchel_transcripts_answer* answer,
                                                 const satchel_tokens* tokens) {
  return abi::guarded(nullptr, [&]() -> Result<Status> {
    if (answer == nullptr) return abi::argument_error("answer", "is NULL");
    if (tokens == nullptr) return abi::argument_error("tokens", "is NULL");
    answer->windows.seven_day = counts_of(*tokens);
    answer->has_seven_day = true;
    return Status::kOk;
  });
}

}  // extern "C"
