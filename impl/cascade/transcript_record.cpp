#include "cascade/transcript_record.hpp"

#include <array>
#include <cstring>

namespace satchel::cascade {
namespace {

__extension__ typedef unsigned __int128 Product;

constexpr std::uint64_t kSecretA = 0xa0761d6478bd642fULL;
constexpr std::uint64_t kSecretB = 0xe7037ed1a0b428dbULL;
constexpr std::uint64_t kSecretC = 0x8ebc6af09c88c6e3ULL;
constexpr std::uint64_t kHighSeed = 0x589965cc75374cc3ULL;
constexpr std::uint64_t kLowSeed = 0x1d8e4e27c47d124fULL;
constexpr std::size_t kSealBytes = 8;

// Both halves of the product of two words: wyhash's way to mix.
std::uint64_t folded(std::uint64_t a, std::uint64_t b) {
  const Product product = Product{a} * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t word_at(const char* at, std::size_t bytes = 8) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, bytes);
  return word;
}

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void number(WideCount value) {
    while (value >= 0x80) {
      byte(static_cast<std::uint8_t>(value) | 0x80U);
      value >>= 7;
    }
    byte(static_cast<std::uint8_t>(value));
  }
  void number(std::uint64_t value) {
    std::array<char, 10> bytes;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    std::size_t size = 0;
    while (value >= 0x80) {
      bytes[size++] = static_cast<char>(static_cast<std::uint8_t>(value) | 0x80U);
      value >>= 7;
    }
    bytes[size++] = static_cast<char>(value);
    out_.append(bytes.data(), size);
  }
  void signed_number(std::int64_t value) {
    number(static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63));
  }
  void word(std::uint64_t value) {
    std::array<char, 8> bytes;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    std::memcpy(bytes.data(), &value, sizeof value);
    out_.append(bytes.data(), bytes.size());
  }
  // Nearly all times are whole milliseconds.
  void nanos(std::uint64_t ns) { number(ns % 1'000'000 == 0 ? ns / 1'000'000 << 1 : ns << 1 | 1U); }
  void tokens(const MessageTokens& tokens) {
    number(tokens.input);
    number(tokens.output);
    number(tokens.cache_creation);
    number(tokens.cache_creation_1h);
    number(tokens.cache_read);
  }
  void sums(const TokenSums& sums) {
    for (const WideCount sum :
         {sums.input, sums.output, sums.cache_creation, sums.cache_creation_1h, sums.cache_read}) {
      number(sum);
    }
    number(sums.messages);
  }
  void span(const BucketSpan& span) {
    nanos(span.first);
    nanos(span.last - span.first);
  }

 private:
  void byte(std::uint8_t value) { out_ += static_cast<char>(value); }
  std::string& out_;
};

// After the first thing that is not there, everything is zero and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  [[nodiscard]] bool at_end() const { return at_ == end_; }
  [[nodiscard]] bool ok() const { return ok_; }

  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < end_; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(*at_++);
      value |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
    return fail();
  }
  WideCount wide() {
    WideCount value = 0;
    for (unsigned shift = 0; shift < 128 && at_ < end_; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(*at_++);
      value |= WideCount{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
    return fail();
  }
  std::int64_t signed_number() {
    const std::uint64_t value = number();
    return static_cast<std::int64_t>(value >> 1 ^ (~(value & 1) + 1));
  }
  std::uint64_t word() {
    if (end_ - at_ < 8) return fail();
    at_ += 8;
    return word_at(at_ - 8);
  }
  std::uint64_t nanos() {
    const std::uint64_t value = number();
    return (value & 1) != 0 ? value >> 1 : (value >> 1) * 1'000'000;
  }
  MessageTokens tokens() {
    MessageTokens tokens;
    tokens.input = number();
    tokens.output = number();
    tokens.cache_creation = number();
    tokens.cache_creation_1h = number();
    tokens.cache_read = number();
    return tokens;
  }
  TokenSums sums() {
    TokenSums sums;
    for (WideCount* sum : {&sums.input, &sums.output, &sums.cache_creation, &sums.cache_creation_1h,
                           &sums.cache_read}) {
      *sum = wide();
    }
    sums.messages = number();
    return sums;
  }
  BucketSpan span() {
    BucketSpan span;
    span.first = nanos();
    span.last = span.first + nanos();
    return span;
  }

 private:
  std::uint64_t fail() {
    ok_ = false;
    at_ = end_;
    return 0;
  }

  const char* at_;
  const char* end_;
  bool ok_ = true;
};

MessageKey key_of_parts(std::string_view first, std::string_view second, std::uint64_t kind) {
  const auto half = [&](std::uint64_t seed) {
    return hash_bytes(second, hash_bytes(first, seed ^ kind));
  };
  return {half(kHighSeed), half(kLowSeed)};
}

std::uint64_t flagged(std::uint32_t model, bool has_usage) {
  return std::uint64_t{model} << 1 | static_cast<std::uint64_t>(has_usage);
}

}  // namespace

std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) {
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t state = seed ^ kSecretA;
  for (; left >= 16; left -= 16, at += 16) {
    state = folded(word_at(at) ^ kSecretB, word_at(at + 8) ^ state);
  }
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  if (left > 8) {
    a = word_at(at);
    b = word_at(at + 8, left - 8);
  } else if (left > 0) {
    a = word_at(at, left);
  }
  state = folded(a ^ kSecretB, b ^ state);
  return folded(state ^ kSecretC, bytes.size() ^ kSecretB);
}

MessageKey key_of_message(std::string_view id) { return key_of_parts(id, {}, 1); }

MessageKey key_of_message(std::string_view id, std::optional<std::string_view> request_id) {
  return request_id ? key_of_parts(id, *request_id, 2) : key_of_parts(id, {}, 3);
}

MessageKey key_of_line(std::uint32_t file, std::uint64_t position) {
  std::array<char, 12> bytes{};
  std::memcpy(bytes.data(), &file, sizeof file);
  std::memcpy(bytes.data() + sizeof file, &position, sizeof position);
  return key_of_parts({bytes.data(), bytes.size()}, {}, 4);
}

TokenSums& sums_of(std::vector<ModelSums>& models, std::uint32_t model) {
  for (ModelSums& known : models) {
    if (known.model == model) return known.sums;
  }
  return models.emplace_back(ModelSums{model, {}}).sums;
}

void Bucket::add(const BucketEntry& entry) {
  widen(entries, {entry.ns, entry.ns});
  if (entry.has_usage) sums_of(models, entry.model).add(entry.tokens);
}

void append_record(std::string& out, const TranscriptRecord& record) {
  Writer writer(out);
  writer.word(record.key.high);
  writer.word(record.key.low);
  writer.number(std::uint64_t{record.file});
  writer.number(record.position);
  writer.number(flagged(record.model, record.has_usage));
  writer.signed_number(record.time.seconds);
  writer.nanos(static_cast<std::uint64_t>(record.time.nanos));
  if (record.has_usage) writer.tokens(record.tokens);
}

std::optional<std::vector<TranscriptRecord>> read_records(std::string_view bytes) {
  std::vector<TranscriptRecord> records;
  Reader reader(bytes);
  while (!reader.at_end()) {
    TranscriptRecord& record = records.emplace_back();
    record.key.high = reader.word();
    record.key.low = reader.word();
    record.file = static_cast<std::uint32_t>(reader.number());
    record.position = reader.number();
    const std::uint64_t flags = reader.number();
    record.model = static_cast<std::uint32_t>(flags >> 1);
    record.has_usage = (flags & 1) != 0;
    record.time.seconds = reader.signed_number();
    record.time.nanos = static_cast<std::int32_t>(reader.nanos());
    if (record.has_usage) record.tokens = reader.tokens();
  }
  if (!reader.ok()) return std::nullopt;
  return records;
}

void append_entry(std::string& out, const BucketEntry& entry) {
  Writer writer(out);
  writer.nanos(entry.ns);
  writer.number(flagged(entry.model, entry.has_usage));
  if (entry.has_usage) writer.tokens(entry.tokens);
}

std::optional<std::vector<BucketEntry>> read_entries(std::string_view bytes) {
  std::vector<BucketEntry> entries;
  Reader reader(bytes);
  while (!reader.at_end()) {
    BucketEntry& entry = entries.emplace_back();
    entry.ns = reader.nanos();
    const std::uint64_t flags = reader.number();
    entry.model = static_cast<std::uint32_t>(flags >> 1);
    entry.has_usage = (flags & 1) != 0;
    if (entry.has_usage) entry.tokens = reader.tokens();
  }
  if (!reader.ok()) return std::nullopt;
  return entries;
}

std::string write_bucket(const Bucket& bucket) {
  std::string bytes;
  Writer writer(bytes);
  writer.number(std::uint64_t{bucket.entries ? 1U : 0U} | std::uint64_t{bucket.activity ? 2U : 0U});
  if (bucket.entries) writer.span(*bucket.entries);
  if (bucket.activity) writer.span(*bucket.activity);
  for (const ModelSums& model : bucket.models) {
    writer.number(std::uint64_t{model.model});
    writer.sums(model.sums);
  }
  return bytes;
}

std::optional<Bucket> read_bucket(std::string_view bytes) {
  Bucket bucket;
  Reader reader(bytes);
  const std::uint64_t parts = reader.number();
  if ((parts & 1) != 0) bucket.entries = reader.span();
  if ((parts & 2) != 0) bucket.activity = reader.span();
  while (!reader.at_end()) {
    ModelSums& model = bucket.models.emplace_back();
    model.model = static_cast<std::uint32_t>(reader.number());
    model.sums = reader.sums();
  }
  if (!reader.ok()) return std::nullopt;
  return bucket;
}

std::string write_activity(const std::vector<FileActivity>& activity) {
  std::string bytes;
  Writer writer(bytes);
  for (const FileActivity& part : activity) {
    writer.signed_number(part.bucket);
    writer.span(part.span);
  }
  return bytes;
}

std::optional<std::vector<FileActivity>> read_activity(std::string_view bytes) {
  std::vector<FileActivity> activity;
  Reader reader(bytes);
  while (!reader.at_end()) {
    FileActivity& part = activity.emplace_back();
    part.bucket = reader.signed_number();
    part.span = reader.span();
  }
  if (!reader.ok()) return std::nullopt;
  return activity;
}

void append_seal(std::string& bytes, std::uint64_t row) {
  const std::uint64_t seal = hash_bytes(bytes, row);
  Writer(bytes).word(seal);
}

std::optional<std::string_view> unseal(std::string_view sealed, std::uint64_t row) {
  if (sealed.size() < kSealBytes) return std::nullopt;
  const std::string_view bytes = sealed.substr(0, sealed.size() - kSealBytes);
  if (word_at(sealed.data() + bytes.size()) != hash_bytes(bytes, row)) return std::nullopt;
  return bytes;
}

}  // namespace satchel::cascade
