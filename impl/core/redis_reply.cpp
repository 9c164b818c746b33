#include "core/redis_reply.hpp"

#include <hiredis.h>

#include <exception>
#include <new>
#include <utility>

namespace satchel::core {

struct RedisReplyReader::State {
  std::size_t max_bytes = 0;
  std::size_t fed = 0;
  std::size_t elements = 0;
  RedisReply root;
  bool root_made = false;
  redisReader* reader = nullptr;
};

namespace {

using State = RedisReplyReader::State;

// An element takes at least four bytes on the wire, but far more as a RedisReply, and room for it
// is made before it arrives.
constexpr std::size_t kMaxElements = 1'000'000;

// Replies lie in one another: an array has all its elements from the beginning, so their addresses
// stay.
RedisReply* place_of(const redisReadTask* task) {
  if (task->parent != nullptr) {
    auto* array = static_cast<RedisReply*>(task->parent->obj);
    return &array->elements.at(static_cast<std::size_t>(task->idx));
  }
  auto* state = static_cast<State*>(task->privdata);
  state->root = RedisReply();
  state->root_made = true;
  return &state->root;
}

// A null pointer is "out of memory" to hiredis, which then stops.
template <class Make>
void* made(const redisReadTask* task, Make make) noexcept {
  try {
    RedisReply* reply = place_of(task);
    return make(*reply) ? reply : nullptr;
  } catch (const std::exception&) {
    return nullptr;
  }
}

void* create_string(const redisReadTask* task, char* text, std::size_t len) {
  return made(task, [&](RedisReply& reply) {
    reply.kind = task->type == REDIS_REPLY_ERROR    ? RedisReply::Kind::kError
                 : task->type == REDIS_REPLY_STATUS ? RedisReply::Kind::kStatus
                                                    : RedisReply::Kind::kText;
    reply.text.assign(text, len);
    return true;
  });
}

// The count is an int or a size_t, by the version of hiredis.
template <class Count>
void* create_array(const redisReadTask* task, Count count) {
  return made(task, [&](RedisReply& reply) {
    auto* state = static_cast<State*>(task->privdata);
    const auto more = static_cast<std::size_t>(count);
    if (more > kMaxElements - state->elements) return false;
    state->elements += more;
    reply.kind = RedisReply::Kind::kArray;
    reply.elements.resize(more);
    return true;
  });
}

void* create_integer(const redisReadTask* task, long long value) {  // NOLINT: hiredis' type
  return made(task, [&](RedisReply& reply) {
    reply.kind = RedisReply::Kind::kInteger;
    reply.integer = value;
    return true;
  });
}

void* create_nil(const redisReadTask* task) {
  return made(task, [](RedisReply&) { return true; });
}

void free_object(void* /*reply*/) {}  // all lie in State::root

redisReplyObjectFunctions* functions() {
  static redisReplyObjectFunctions table = [] {
    redisReplyObjectFunctions made{};
    made.createString = create_string;
    made.createArray = create_array;
    made.createInteger = create_integer;
    made.createNil = create_nil;
    made.freeObject = free_object;
    return made;
  }();
  return &table;
}

Error broken(const char* why) {
  return {Status::kIo, std::string("an answer that is not Redis': ") + why};
}

}  // namespace

RedisReplyReader::RedisReplyReader(std::size_t max_bytes) : state_(std::make_unique<State>()) {
  state_->max_bytes = max_bytes;
  state_->reader = redisReaderCreateWithFunctions(functions());
  if (state_->reader == nullptr) throw std::bad_alloc();
  state_->reader->privdata = state_.get();
}

RedisReplyReader::~RedisReplyReader() { redisReaderFree(state_->reader); }

void RedisReplyReader::reset() {
  state_->fed = 0;
  state_->elements = 0;
}

Result<void> RedisReplyReader::feed(std::string_view bytes) {
  state_->fed += bytes.size();
  if (state_->fed > state_->max_bytes) {
    return Error{Status::kLimit,
                 "an answer of more than " + std::to_string(state_->max_bytes) + " bytes"};
  }
  if (redisReaderFeed(state_->reader, bytes.data(), bytes.size()) == REDIS_OK) return Ok{};
  return broken(state_->reader->errstr);
}

Result<bool> RedisReplyReader::next(RedisReply& out) {
  void* whole = nullptr;
  if (redisReaderGetReply(state_->reader, &whole) != REDIS_OK) {
    return broken(state_->reader->errstr);
  }
  if (whole == nullptr) return false;
  // A kind of reply that only newer versions of the protocol have.
  if (!std::exchange(state_->root_made, false)) return broken("an unknown kind of reply");
  out = std::move(state_->root);
  return true;
}

bool RedisReplyReader::has_rest() const { return state_->reader->pos != state_->reader->len; }

}  // namespace satchel::core
