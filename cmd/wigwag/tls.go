package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// renewWithin is how long before its end a certificate should be renewed.
const renewWithin = 14 * 24 * time.Hour

// keyPair is the TLS certificate in use and its key, which their files can
// replace.
type keyPair struct {
	certFile, keyFile string
	logger            *slog.Logger
	current           atomic.Pointer[tls.Certificate]
}

func loadKeyPair(certFile, keyFile string, logger *slog.Logger) (*keyPair, error) {
	k := &keyPair{certFile: certFile, keyFile: keyFile, logger: logger}
	return k, k.load()
}

// load takes the certificate from the files. If that fails the one before stays.
func (k *keyPair) load() error {
	cert, err := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	if err != nil {
		return fmt.Errorf("--tls-cert and --tls-key: %w", err)
	}
	k.current.Store(&cert)
	k.logger.Info("TLS certificate loaded", slog.Time("not_after", cert.Leaf.NotAfter))
	k.warn()
	return nil
}

// warn says when the certificate ends soon.
func (k *keyPair) warn() {
	if end := k.current.Load().Leaf.NotAfter; time.Until(end) < renewWithin {
		k.logger.Warn("the TLS certificate ends soon: renew it and send SIGHUP", slog.Time("not_after", end))
	}
}

// reload loads the files again whenever hup says so, and warns once a day,
// until ctx ends.
func (k *keyPair) reload(ctx context.Context, hup <-chan os.Signal) {
	daily := time.NewTicker(24 * time.Hour)
	defer daily.Stop()
	for {
		select {
		case <-hup:
			if err := k.load(); err != nil {
				k.logger.Error("the TLS certificate was not reloaded; the one before stays", slog.Any("error", err))
			}
		case <-daily.C:
			k.warn()
		case <-ctx.Done():
			return
		}
	}
}

// config is the server's TLS configuration.
func (k *keyPair) config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.current.Load(), nil },
		MinVersion:     tls.VersionTLS12,
	}
}
