/* Preloaded into servers that can only listen on every address (Orthanc 1.10, dcmtk's storescp): they listen on loopback. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int bind(int fd, const struct sockaddr *address, socklen_t length) {
  int (*real)(int, const struct sockaddr *, socklen_t) = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind");
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  if (address->sa_family == AF_INET && length >= sizeof four) {
    memcpy(&four, address, sizeof four);
    if (four.sin_addr.s_addr == htonl(INADDR_ANY)) four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return real(fd, (struct sockaddr *)&four, sizeof four);
  }
  if (address->sa_family == AF_INET6 && length >= sizeof six) {
    memcpy(&six, address, sizeof six);
    if (IN6_IS_ADDR_UNSPECIFIED(&six.sin6_addr)) six.sin6_addr = in6addr_loopback;
    return real(fd, (struct sockaddr *)&six, sizeof six);
  }
  return real(fd, address, length);
}
