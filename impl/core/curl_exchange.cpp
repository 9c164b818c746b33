#include "core/curl_exchange.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <limits>
#include <new>
#include <type_traits>

#include "core/clock.hpp"
#include "core/signals_held.hpp"
#include "core/text.hpp"

namespace satchel::core {
namespace {

// Of one exchange, with the interim answers before the final one.
constexpr std::size_t kMaxHeaderBytes = 65'536;

// Scheme, host and port: what a message may say of a URL.
std::string_view origin(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::size_t start = scheme == std::string_view::npos ? 0 : scheme + 3;
  const std::size_t end = url.find_first_of("/?#", start);
  const std::string_view authority = url.substr(start, end - start);
  // A name or password in a URL is not for a message.
  if (authority.find('@') != std::string_view::npos) return url.substr(0, start);
  return url.substr(0, end);
}

bool is_one_line(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
  });
}

bool is_header_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

std::string_view trim_blanks(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// As libcurl reads it: "Name;" is a header without a value, "Name:" takes one of its own away.
Secret header_line(std::string_view name, std::string_view value) {
  const std::string_view separator = value.empty() ? ";" : ": ";
  Secret line(name.size() + separator.size() + value.size() + 1);
  char* end = std::copy(name.begin(), name.end(), line.data());
  end = std::copy(separator.begin(), separator.end(), end);
  end = std::copy(value.begin(), value.end(), end);
  *end = '\0';
  return line;
}

Secret without_header(std::string_view name) {
  return Secret(std::string(name) + std::string(":\0", 2));
}

}  // namespace

CurlExchange::~CurlExchange() {
  if (easy_ == nullptr) return;
  const SignalsHeld held;
  curl_.easy_cleanup(easy_);
}

template <class Value>
void CurlExchange::set(CURLoption option, Value value) {
  static_assert(
      std::is_pointer_v<Value> || std::is_same_v<Value, long> || std::is_same_v<Value, curl_off_t>,
      "libcurl reads its variable arguments as exactly these");
  const CURLcode code = curl_.easy_setopt(easy_, option, value);
  if (unset_ == CURLE_OK) unset_ = code;
}

Result<void> CurlExchange::prepare(const HttpRequest& request) {
  request_ = &request;
  if (request.timeout_ns <= 0) return failure(CURLE_OPERATION_TIMEDOUT);
  if (!is_one_line(request.url)) {
    return Error{Status::kArgument, "the URL holds a control character"};
  }
  easy_ = curl_.easy_init();
  if (easy_ == nullptr) return Error{Status::kMemory, "no memory for an HTTP request"};
  url_ = request.url;
  set_identity();
  set_limits();
  if (Result<void> done = set_method(); !done) return done;
  if (Result<void> done = set_headers(); !done) return done;
  if (unset_ != CURLE_OK) {
    return Error{Status::kIo,
                 std::string("libcurl refuses an option: ") + curl_.easy_strerror(unset_)};
  }
  return Ok{};
}

void CurlExchange::set_identity() {
  set(CURLOPT_URL, url_.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  // A URL without a scheme would go out in plain text otherwise.
  set(CURLOPT_DEFAULT_PROTOCOL, "https");
  // HTTP/2 would keep headers in its compression tables, in memory that nobody wipes.
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_FOLLOWLOCATION, 0L);
  if (!settings_.user_agent.empty()) set(CURLOPT_USERAGENT, settings_.user_agent.c_str());
  set(CURLOPT_ACCEPT_ENCODING, "gzip, deflate");

  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_PROXY_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!settings_.ca_file.empty()) {
    set(CURLOPT_CAINFO, settings_.ca_file.c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
}

// The host may start programs: they get no connection that somebody has authenticated. libcurl's
// own call, but for the flag.
curl_socket_t CurlExchange::open_socket(void* /*self*/, curlsocktype /*purpose*/,
                                        curl_sockaddr* address) {
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void CurlExchange::set_limits() {
  const std::int64_t ms = (request_->timeout_ns - 1) / kNanosPerMilli + 1;
  const long timeout =
      static_cast<long>(std::min<std::int64_t>(ms, std::numeric_limits<std::int32_t>::max()));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TIMEOUT_MS, timeout);
  set(CURLOPT_CONNECTTIMEOUT_MS, timeout);
  // Not to wait for a name server after the time is over. Unknown before 7.87.
  curl_.easy_setopt(easy_, CURLOPT_QUICK_EXIT, 1L);

  set(CURLOPT_OPENSOCKETFUNCTION, &CurlExchange::open_socket);
  set(CURLOPT_ERRORBUFFER, error_text_.data());
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_HEADERFUNCTION, &CurlExchange::take_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, &CurlExchange::take_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
}

Result<void> CurlExchange::set_method() {
  if (request_->method == "GET") {
    set(CURLOPT_HTTPGET, 1L);
  } else if (request_->method == "POST") {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_->body.size()));
    set(CURLOPT_POSTFIELDS, request_->body.empty() ? "" : request_->body.data());
  } else {
    return Error{Status::kArgument, "the method of a request is GET or POST"};
  }
  return Ok{};
}

bool CurlExchange::has_header(std::string_view name) const {
  return std::any_of(request_->headers.begin(), request_->headers.end(), [&](const auto& header) {
    return equals_ignoring_ascii_case(header.first, name);
  });
}

// libcurl reads the list where it stands, so that no copy of ours stays behind.
Result<void> CurlExchange::set_headers() {
  for (const auto& [name, value] : request_->headers) {
    if (!is_header_name(name)) return Error{Status::kArgument, "a header's name is none"};
    if (!is_one_line(value)) {
      return Error{Status::kArgument,
                   "the header " + std::string(name) + " holds a control character"};
    }
    header_lines_.push_back(header_line(name, value));
  }
  // Of its own accord libcurl calls a body a form, and asks before it sends a long one.
  if (!has_header("Content-Type")) header_lines_.push_back(without_header("Content-Type"));
  if (!has_header("Expect")) header_lines_.push_back(without_header("Expect"));

  header_list_.resize(header_lines_.size());
  for (std::size_t i = 0; i < header_lines_.size(); ++i) {
    curl_slist* next = i + 1 < header_list_.size() ? &header_list_[i + 1] : nullptr;
    header_list_[i] = {header_lines_[i].data(), next};
  }
  set(CURLOPT_HTTPHEADER, header_list_.data());
  // A proxy that only passes the connection on is told none of them.
  set(CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
  return Ok{};
}

std::size_t CurlExchange::take_header(char* data, std::size_t size, std::size_t count, void* self) {
  auto& exchange = *static_cast<CurlExchange*>(self);
  const std::size_t length = size * count;
  exchange.header_bytes_ += length;
  if (exchange.header_bytes_ > kMaxHeaderBytes) {
    exchange.refused_ = Refused::kHeadersTooLong;
    return length + 1;
  }
  try {
    exchange.add_header_line({data, length});
  } catch (const std::bad_alloc&) {
    exchange.refused_ = Refused::kNoMemory;
    return length + 1;
  }
  return length;
}

void CurlExchange::add_header_line(std::string_view line) {
  if (line.starts_with("HTTP/") && answer_.body.empty()) {
    // Another answer: what came before was an interim one.
    answer_.headers.clear();
    head_ended_ = false;
    return;
  }
  // What follows the body is no header.
  if (head_ended_) return;
  const std::string_view text = trim_blanks(line);
  if (text.empty()) {
    head_ended_ = true;
  } else if (line.front() == ' ' || line.front() == '\t') {
    // An old way of going on with the line before.
    if (!answer_.headers.empty()) answer_.headers.back().second += ' ' + std::string(text);
  } else if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    answer_.headers.emplace_back(trim_blanks(text.substr(0, colon)),
                                 trim_blanks(text.substr(colon + 1)));
  }
}

std::size_t CurlExchange::take_body(char* data, std::size_t size, std::size_t count, void* self) {
  auto& exchange = *static_cast<CurlExchange*>(self);
  const std::size_t length = size * count;
  std::string& body = exchange.answer_.body;
  if (length > exchange.request_->max_body_bytes - body.size()) {
    exchange.refused_ = Refused::kBodyTooLong;
    return length + 1;
  }
  try {
    body.append(data, length);
  } catch (const std::bad_alloc&) {
    exchange.refused_ = Refused::kNoMemory;
    return length + 1;
  }
  return length;
}

Result<HttpAnswer> CurlExchange::finish(CURLcode code) {
  if (code != CURLE_OK) return failure(code);
  // libcurl takes a head that the end of the connection cut off for a whole one.
  if (!head_ended_) {
    return Error{Status::kIo,
                 std::string(origin(request_->url)) + ": the connection ended within the head"};
  }
  long status = 0;
  curl_.easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  answer_.status = static_cast<int>(status);
  return std::move(answer_);
}

Error CurlExchange::failure(CURLcode code) const {
  const std::string where = std::string(origin(request_->url)) + ": ";
  switch (refused_) {
    case Refused::kNothing:
      break;
    case Refused::kBodyTooLong:
      return {Status::kLimit, where + "the answer's body is longer than " +
                                  std::to_string(request_->max_body_bytes) + " bytes"};
    case Refused::kHeadersTooLong:
      return {Status::kIo, where + "the answer's headers are longer than " +
                               std::to_string(kMaxHeaderBytes) + " bytes"};
    case Refused::kNoMemory:
      return {Status::kMemory, where + "no memory for the answer"};
  }
  // Its word for one endless header line, too, before 8.6.
  if (code == CURLE_OUT_OF_MEMORY) {
    return {Status::kIo, where + "libcurl has no memory for the answer's headers"};
  }

  std::string_view why = error_text_.data();
  // Where a proxy's address cannot be read, libcurl quotes all of it, name and password too.
  const bool quotes_address = why.find('@') != std::string_view::npos ||
                              why.find("://") != std::string_view::npos ||
                              why.starts_with("Unsupported proxy");
  if (why.empty() || quotes_address) why = curl_.easy_strerror(code);
  Error error{code == CURLE_OPERATION_TIMEDOUT ? Status::kTimeout : Status::kIo,
              where + std::string(why)};
  if (long os_errno = 0;
      easy_ != nullptr && curl_.easy_getinfo(easy_, CURLINFO_OS_ERRNO, &os_errno) == CURLE_OK) {
    error.os_errno = static_cast<int>(os_errno);
  }
  return error;
}

}  // namespace satchel::core
