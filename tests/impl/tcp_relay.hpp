// A TCP relay on a free port of 127.0.0.1, for what a network does to a server's clients: it passes
// bytes on late, cuts connections in the middle of an answer, stalls, refuses.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/file.hpp"

namespace satchel::core {

// All calls from any thread; what they ask for holds when they return.
class TcpRelay {
 public:
  explicit TcpRelay(int server_port);
  TcpRelay(const TcpRelay&) = delete;
  TcpRelay& operator=(const TcpRelay&) = delete;
  ~TcpRelay();

  [[nodiscard]] int port() const { return port_; }
  // How many it has accepted so far.
  [[nodiscard]] std::size_t connections() const;
  // How often the server began to speak after a client had.
  [[nodiscard]] std::size_t turns() const;

  // Whatever passes from now on comes this much later, in both directions.
  void delay(std::chrono::milliseconds late);
  // Once so many more bytes of the server have passed, over all connections, all are cut.
  void cut_after(std::size_t server_bytes);
  // Cuts all connections. New ones are welcome.
  void cut();
  // Connections stay open and new ones are taken (by the kernel), but no byte passes.
  void stall();
  // Cuts all connections; new ones are refused.
  void refuse();
  // Ends delay, cut_after, stall and refuse.
  void pass();

 private:
  using Steady = std::chrono::steady_clock;
  struct Chunk {
    Steady::time_point due;
    std::string bytes;
  };
  struct Side {
    UniqueFd fd;
    std::deque<Chunk> coming;  // to be sent to it
    bool blocked = false;      // it takes no more at present
  };
  struct Pair {
    Side client;
    Side server;
    bool client_spoke = false;  // last
    bool ended = false;         // by one side; gone when the last bytes are passed on
  };

  void order(const std::function<void()>& change);
  void listen();
  void run();
  bool run_once();
  void cut_all();
  void accept_one();
  void read_from(Pair& pair, bool server);
  static void send_due(Pair& pair, Side& to, Steady::time_point now);
  [[nodiscard]] int poll_timeout(Steady::time_point now) const;

  const int server_port_;
  int port_ = 0;
  UniqueFd holder_;  // keeps the port while nobody listens on it
  UniqueFd wake_;

  mutable std::mutex mutex_;  // of all below
  std::condition_variable obeyed_;
  UniqueFd listener_;
  std::list<Pair> pairs_;
  std::size_t connections_ = 0;
  std::size_t turns_ = 0;
  std::chrono::milliseconds delay_{0};
  std::optional<std::size_t> cut_after_;
  bool stalled_ = false;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace satchel::core
